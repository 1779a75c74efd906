package dev.weft.core.simulate;

import dev.weft.core.cluster.Link;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import java.util.List;

/** What the parts of a program take. Asked once per fragment and pair of stages. */
public interface CostModel {
  /**
   * How long a fragment runs.
   *
   * @param time of the whole, in seconds or units
   * @param communication the part of it during which devices do nothing but wait for collectives
   */
  record Duration(double time, double communication) {}

  /** What one device of the stage takes for a fragment, collectives included. */
  Duration fragment(StageProgram stage, Fragment fragment);

  /** The way from each device of a stage to its counterpart of another. */
  Link link(int from, int to);

  /**
   * Numbers of what a transfer from a stage to another takes and transfers between other stages may
   * need too, as the ways from hosts to others: each serves one transfer at a time.
   */
  default List<Integer> shared(int from, int to) {
    return List.of();
  }
}
