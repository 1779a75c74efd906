package dev.weft.nn.step;

import dev.weft.core.stage.Recomputation;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * Fits recomputation to memory: what is left on each stage where all is made again is given to what
 * is kept, and a part of it where that, with what computing then takes, turns out to be too much.
 */
public final class Fitting {
  private static final double NEXT = 0.7;

  /** Of the memory that seems left less than this is not worth another try. */
  private static final double LEAST = 0.05;

  private Fitting() {}

  /**
   * Tries.
   *
   * @param full the step that makes all again
   * @param needed by it of each device of a stage, in bytes
   * @param budget of a device, in bytes
   * @param attempt what comes of a plan; empty where it does not fit
   * @return empty where only the plan that makes all again may fit
   */
  public static <T> Optional<T> fitted(
      PipelinePlan plan,
      PipelineStep full,
      long[] needed,
      long budget,
      Function<PipelinePlan, Optional<T>> attempt) {
    long[] left = new long[needed.length];
    for (int stage = 0; stage < left.length; stage++) {
      long shared = (long) TrainingMemory.live(full, stage) * plan.chunks();
      left[stage] = Math.max(0, budget - needed[stage]) / shared;
    }
    for (double share = 1; share > LEAST; share *= NEXT) {
      double part = share;
      IntFunction<Recomputation> kept =
          piece -> new Recomputation.Budget((long) (left[plan.stageOf(piece)] * part));
      Optional<T> found = attempt.apply(plan.withRecomputation(kept));
      if (found.isPresent()) {
        return found;
      }
    }
    return Optional.empty();
  }
}
