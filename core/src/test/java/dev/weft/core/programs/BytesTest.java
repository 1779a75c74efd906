package dev.weft.core.programs;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.shard.Explanation;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Bytes that a device sends, against what XLA's partitioner comes to and against plans by hand. */
class BytesTest {
  private static final List<Program> PROGRAMS = Program.ALL;

  @ParameterizedTest
  @FieldSource("PROGRAMS")
  void neverMoreThanTheBetterOfXlasPropagations(Program program) {
    Explanation explanation = ProgramTable.explain(program);
    assertTrue(
        explanation.bytesPerDevice() <= program.best(),
        () ->
            explanation.bytesPerDevice()
                + " bytes, XLA "
                + program.best()
                + ": "
                + explanation.collectives());
  }

  @Test
  void fivePlansByHandAreMetWithinATwentieth() {
    List<Program> met =
        Program.ALL.stream()
            .filter(p -> p.byHand().isPresent())
            .filter(
                p -> ProgramTable.explain(p).bytesPerDevice() <= 1.05 * p.byHand().orElseThrow())
            .toList();
    assertTrue(met.size() >= 5, met::toString);
  }
}
