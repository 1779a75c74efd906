package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.List;

/**
 * All forwards, then all backwards (Huang et al., "GPipe: Efficient Training of Giant Neural
 * Networks using Pipeline Parallelism", 2019, section 2.3), the last micro-batch first. All
 * micro-batches are live at once on every stage.
 */
record GPipe() implements Schedule {
  @Override
  public String name() {
    return "gpipe";
  }

  @Override
  public List<Action> stage(Setting setting, int stage) {
    var actions = new ArrayList<Action>();
    for (int microBatch = 0; microBatch < setting.microBatches(); microBatch++) {
      actions.add(Action.of(Work.FORWARD, microBatch));
    }
    for (int microBatch = setting.microBatches() - 1; microBatch >= 0; microBatch--) {
      actions.add(Action.of(Work.BACKWARD, microBatch));
    }
    return actions;
  }
}
