package dev.weft.core.simulate;

import dev.weft.core.cluster.Link;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import dev.weft.core.stage.CutCosts;

/**
 * What programs take by {@link CutCosts#COUNTED}, for want of measurements: enough to compare
 * orders of the same work, in no unit of time.
 */
public record CountedCosts() implements CostModel {
  private static final Link LINK = new Link(0, 1 / CutCosts.OPERATIONS_PER_BYTE);

  @Override
  public Duration fragment(StageProgram stage, Fragment fragment) {
    double time = fragment.graph().nodes().stream().mapToDouble(CutCosts.COUNTED::time).sum();
    return new Duration(time);
  }

  @Override
  public Link link(int from, int to) {
    return LINK;
  }
}
