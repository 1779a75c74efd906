package dev.weft.core.schedule;

import dev.weft.core.cluster.UserException;
import dev.weft.core.program.RecomputeTiming;
import java.util.Set;

/**
 * What a schedule puts in order.
 *
 * @param chunks pieces per stage; piece {@code chunk * stages + stage} lies on that stage
 * @param recomputing the pieces whose forward does not keep all that the backward needs
 */
public record Setting(
    int stages, int chunks, int microBatches, Set<Integer> recomputing, RecomputeTiming timing) {
  /**
   * Checks the numbers.
   *
   * @throws UserException if one is below 1
   */
  public Setting {
    requirePositive("stages", stages);
    requirePositive("chunks", chunks);
    requirePositive("micro-batches", microBatches);
    recomputing = Set.copyOf(recomputing);
  }

  /** One piece per stage, nothing recomputed. */
  public static Setting of(int stages, int microBatches) {
    return new Setting(stages, 1, microBatches, Set.of(), RecomputeTiming.EARLY);
  }

  public Setting withChunks(int count) {
    return new Setting(stages, count, microBatches, recomputing, timing);
  }

  public Setting withRecomputing(Set<Integer> pieces, RecomputeTiming when) {
    return new Setting(stages, chunks, microBatches, pieces, when);
  }

  public int pieces() {
    return stages * chunks;
  }

  public int piece(int chunk, int stage) {
    return chunk * stages + stage;
  }

  private static void requirePositive(String name, int value) {
    if (value < 1) {
      throw new UserException("--" + name + " must be at least 1, found " + value);
    }
  }
}
