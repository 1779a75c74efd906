package dev.weft.nn.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.cluster.UserException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigTest {
  @ParameterizedTest
  @CsvSource({
    "0, 4, 2, 3, 5, 0, 'layers must be at least 1, found 0'",
    "1, 4, 2, 3, -5, 0, 'vocabulary must be at least 1, found -5'",
    "1, 4, 3, 3, 5, 0, 'heads must divide hidden, found heads 3 and hidden 4'",
    "1, 4, 2, 3, 5, 1, 'dropout must be from 0 to below 1, found 1.0'",
    "1, 4, 2, 3, 5, NaN, 'dropout must be from 0 to below 1, found NaN'",
  })
  void sizesThatDoNotFitAreNamed(
      int layers,
      int hidden,
      int heads,
      int sequence,
      int vocabulary,
      double dropout,
      String message) {
    var error =
        assertThrows(
            UserException.class,
            () -> new ModelConfig(layers, hidden, heads, sequence, vocabulary, dropout));
    assertEquals(message, error.getMessage());
  }

  @Test
  void aClassifierNeedsClasses() {
    assertThrows(UserException.class, () -> new Mlp(4, 1, 0));
  }
}
