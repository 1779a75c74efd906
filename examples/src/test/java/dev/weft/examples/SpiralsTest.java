package dev.weft.examples;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

final class SpiralsTest {
  @Test
  void tellsTheSpiralsApart() {
    double loss = Spirals.train(400);
    assertTrue(loss < 0.1, "loss " + loss);
  }
}
