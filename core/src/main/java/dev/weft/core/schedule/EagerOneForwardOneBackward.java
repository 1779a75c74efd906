package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import java.util.List;

/**
 * 1F1B with twice the forwards ahead, so that values reach the next stage up to two ticks before it
 * needs them and transfers hide behind computing (Zhuang et al., "On Optimizing the Communication
 * of Model Parallelism", 2023, section 4: eager-1F1B). At most {@code 2 (stages - stage) - 1}
 * micro-batches are live.
 */
record EagerOneForwardOneBackward() implements Schedule {
  @Override
  public String name() {
    return "eager-1f1b";
  }

  @Override
  public List<Action> stage(Setting setting, int stage) {
    return OneForwardOneBackward.pairs(setting.microBatches(), 2 * (setting.stages() - stage) - 1);
  }

  /** Where forwards take long, those that are ahead hold up backwards that others wait for. */
  @Override
  public List<Rival> rivals(Setting setting) {
    return List.of(new Rival("1f1b", new OneForwardOneBackward().order(setting), true));
  }
}
