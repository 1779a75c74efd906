package dev.weft.nn.step;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.overlap.Level;
import java.util.List;
import java.util.Optional;

/** Chooses how far the two halves of a device's rows stay apart. */
@FunctionalInterface
public interface SubPipelining {
  /** All rows together. */
  SubPipelining OFF = at(Level.OFF);

  /**
   * A level.
   *
   * @param remark what to tell the user of the choice
   */
  record Chosen(Level level, Optional<String> remark) {}

  /** What is chosen for a step on a mesh, by its passes in one. */
  Chosen choose(List<ShardedStep.Pass> passes, Mesh mesh);

  /** A level that a user has chosen. */
  static SubPipelining at(Level level) {
    return (_, _) -> new Chosen(level, Optional.empty());
  }
}
