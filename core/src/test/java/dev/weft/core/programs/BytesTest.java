package dev.weft.core.programs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.shard.Explanation;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
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

  /** What the benchmarks say; a plan that becomes cheaper changes both. */
  @ParameterizedTest
  @CsvSource({
    "mlp_step_data, 8734215",
    "mlp2_step_tensor, 2359296",
    "gpt_block_step, 9453060",
    "zero3_step, 9748487",
    "ffn_2d_forward, 4194304",
    "moe_forward, 786432",
    "embedding_vocab, 1572864",
    "layer_norm_hidden, 12288",
    "conv_forward, 65536",
    "conv_step, 317446",
    "reshard_S0_S1, 458752",
    "reshard_xy_yx, 524288",
    "slice_sharded, 69632",
    "einsum_batch_contract, 3145728"
  })
  void noProgramSendsOtherBytesThanBefore(String name, long bytes) {
    assertEquals(bytes, ProgramTable.explain(Program.of(name)).bytesPerDevice());
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
