package dev.weft.nn.step;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.stage.Recomputation;
import java.util.function.IntFunction;

/**
 * How a training step is spread over stages of devices.
 *
 * @param stages groups of devices
 * @param chunks pieces of the model on each stage
 * @param mesh of each stage's devices
 * @param zero the stage of ZeRO, 0 to 3, within each stage's mesh
 * @param microBatches how many a step has
 * @param recomputation by the number of a piece
 * @param timing when recomputation begins
 */
public record PipelinePlan(
    int stages,
    int chunks,
    Mesh mesh,
    int zero,
    int microBatches,
    Schedule schedule,
    IntFunction<Recomputation> recomputation,
    RecomputeTiming timing) {
  /** The same with other recomputation. */
  public PipelinePlan withRecomputation(IntFunction<Recomputation> other) {
    return new PipelinePlan(stages, chunks, mesh, zero, microBatches, schedule, other, timing);
  }

  /** How many pieces the model is cut into. */
  public int pieces() {
    return stages * chunks;
  }

  /** The stage that a piece lies on. */
  public int stageOf(int piece) {
    return piece % stages;
  }
}
