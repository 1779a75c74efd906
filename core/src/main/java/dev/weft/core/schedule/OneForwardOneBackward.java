package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.List;

/**
 * As few forwards ahead as keep the stages busy, then forwards and backwards in turn (Narayanan et
 * al., "Memory-Efficient Pipeline-Parallel DNN Training", 2021: PipeDream-Flush). At most {@code
 * stages - stage} micro-batches are live.
 */
record OneForwardOneBackward() implements Schedule {
  @Override
  public String name() {
    return "1f1b";
  }

  @Override
  public List<Action> stage(Setting setting, int stage) {
    return pairs(setting.microBatches(), setting.stages() - stage);
  }

  /**
   * Forwards and backwards in turn, with so many micro-batches live between a forward and the
   * backward that follows it.
   */
  static List<Action> pairs(int microBatches, int live) {
    var actions = new ArrayList<Action>();
    for (int step = 0; step < microBatches + live - 1; step++) {
      if (step < microBatches) {
        actions.add(Action.of(Work.FORWARD, step));
      }
      if (step >= live - 1) {
        actions.add(Action.of(Work.BACKWARD, step - live + 1));
      }
    }
    return actions;
  }
}
