package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.List;

/**
 * 1F1B with backwards in two halves: only the gradients of inputs are what earlier stages wait for;
 * those of weights fill the bubble (Qi et al., "Zero Bubble Pipeline Parallelism", 2024, section
 * 2.2: ZB-H1). Stage {@code s} puts off the gradients of weights of {@code s} micro-batches, so
 * that on every stage as many micro-batches hold memory as 1F1B's first stage has live.
 */
record ZeroBubble() implements Schedule {
  @Override
  public String name() {
    return "zero-bubble";
  }

  @Override
  public List<Action> stage(Setting setting, int stage) {
    var actions = new ArrayList<Action>();
    for (Action action :
        OneForwardOneBackward.pairs(setting.microBatches(), setting.stages() - stage)) {
      if (action.work() == Work.FORWARD) {
        actions.add(action);
        continue;
      }
      actions.add(Action.of(Work.INPUT_GRADIENT, action.microBatch()));
      if (action.microBatch() >= stage) {
        actions.add(Action.of(Work.WEIGHT_GRADIENT, action.microBatch() - stage));
      }
    }
    int postponed = Math.min(stage, setting.microBatches());
    for (int back = postponed; back > 0; back--) {
      actions.add(Action.of(Work.WEIGHT_GRADIENT, setting.microBatches() - back));
    }
    return actions;
  }
}
