package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.runtime.trainer.Progress;
import org.junit.jupiter.api.Test;

final class LiveLineTest {
  private static final Progress.Logged STEP =
      new Progress.Logged(
          1200, 1520, 2.04119, 1e-3, 0.5, "tokens", 134_210, 81.34e9, 0.613, 124_300_000, 61, 3665);

  @Test
  void tellsAllWhereThereIsRoom() {
    assertEquals(
        "step 1200/1520  loss 2.0412  134,210 tokens/s  81.3 GFLOP/s (61 % of matmul peak)"
            + "  118.54 MiB  61 min 05 s left",
        LiveLine.line(STEP, 200));
  }

  @Test
  void everyFigureFitsAUsualTerminal() {
    String line = LiveLine.line(STEP, 79);
    assertTrue(line.length() <= 79, line);
    for (String part :
        new String[] {
          "1200/1520", "loss 2.0412", "134,210 tokens/s", "81 GFLOP/s (61 %)", "61:05 left"
        }) {
      assertTrue(line.contains(part), part + " in " + line);
    }
  }

  @Test
  void nothingWraps() {
    assertEquals(20, LiveLine.line(STEP, 20).length());
    assertEquals("", LiveLine.line(STEP, 0));
  }
}
