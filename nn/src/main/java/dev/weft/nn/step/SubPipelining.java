package dev.weft.nn.step;

import dev.weft.core.overlap.Level;
import dev.weft.core.program.Program;
import java.util.Optional;
import java.util.function.Function;

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

  /**
   * What a level is chosen for.
   *
   * @param rows the fewest that a device has of a micro-batch
   * @param program of all micro-batches of a step at a level; where a device has but one row there
   *     is none but that at level 0
   */
  record Candidates(long rows, Function<Level, Program> program) {}

  /** What is chosen for a step on stages of several devices, or one such. */
  Chosen choose(Candidates step);

  /** A level that a user has chosen. */
  static SubPipelining at(Level level) {
    return _ -> new Chosen(level, Optional.empty());
  }
}
