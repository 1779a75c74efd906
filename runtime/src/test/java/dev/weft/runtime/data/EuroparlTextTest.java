package dev.weft.runtime.data;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EuroparlTextTest {
  @TempDir Path cache;

  @Test
  void theDefaultTextIsThereAndATableOfTrigramsScoresWhatItShould() {
    byte[] text = EuroparlText.text();
    assertEquals(17_597, new String(text, UTF_8).lines().count());
    assertEquals(19_315_209, text.length);
    assertTrue(new String(text, 0, 100, UTF_8).startsWith("Istituzioni europee proteggerlo"));

    TokenDataset dataset = TokenDataset.open(cache, List.of(new EuroparlText()));
    assertEquals(text.length, dataset.training().count() + dataset.validation().count());
    double loss = new TrigramTable(dataset.training()).loss(dataset.validation());
    assertEquals(2.2, loss, 0.1);
  }
}
