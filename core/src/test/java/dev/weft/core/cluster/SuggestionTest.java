package dev.weft.core.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class SuggestionTest {
  private static final List<String> KNOWN = List.of("matmul", "mean", "max", "learning-rate");

  @Test
  void slipsOfThePenAreFound() {
    assertEquals(Optional.of("matmul"), Suggestion.nearest("matmull", KNOWN));
    assertEquals(Optional.of("matmul"), Suggestion.nearest("mtamul", KNOWN));
    assertEquals(Optional.of("mean"), Suggestion.nearest("maen", KNOWN));
    assertEquals(Optional.of("learning-rate"), Suggestion.nearest("learningrate", KNOWN));
  }

  @Test
  void strangeWordsFindNothing() {
    assertEquals(Optional.empty(), Suggestion.nearest("convolution", KNOWN));
    assertEquals(Optional.empty(), Suggestion.nearest("m".repeat(100_000), KNOWN));
    assertEquals("", Suggestion.hint("xyz", KNOWN));
    assertEquals("; did you mean 'max'?", Suggestion.hint("mxa", KNOWN));
  }
}
