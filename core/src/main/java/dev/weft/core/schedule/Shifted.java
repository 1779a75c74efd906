package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;

/**
 * The shifted critical path (Lai et al., "Merak: An Efficient Distributed DNN Training Framework
 * with Automated 3D Parallelism", 2022): 1F1B that takes recomputes off the path on which all
 * stages wait.
 *
 * <ul>
 *   <li>The last {@code stages - 1 - stage} micro-batches recompute before their cotangents arrive.
 *   <li>The last stage never recomputes.
 *   <li>The stage before it does its third forward in the slot of its first backward; micro-batches
 *       0 and 1 there, and 0 on the stage before that, recompute early.
 * </ul>
 *
 * With {@link RecomputeTiming#EARLY} no recompute ever waits for its cotangents.
 */
record Shifted() implements Schedule {
  private static final int LEAST = 4;

  @Override
  public String name() {
    return "shifted";
  }

  @Override
  public Optional<String> obstacle(Setting setting) {
    int least = Math.max(LEAST, setting.stages());
    if (setting.microBatches() < least) {
      return Optional.of(
          "needs at least as many micro-batches as stages, and at least "
              + LEAST
              + ", found --stages "
              + setting.stages()
              + " --micro-batches "
              + setting.microBatches()
              + ": raise --micro-batches to "
              + least
              + " or take --schedule 1f1b");
    }
    return Schedule.super.obstacle(setting);
  }

  @Override
  public List<Action> stage(Setting setting, int stage) {
    List<Action> plain =
        OneForwardOneBackward.pairs(setting.microBatches(), setting.stages() - stage);
    if (stage != setting.stages() - 2) {
      return plain;
    }
    // F0 F1 B0 F2 B1 ... becomes F0 F1 F2 B0 B1 ...
    var actions = new ArrayList<>(plain);
    Action third = Action.of(Work.FORWARD, 2);
    actions.remove(third);
    actions.add(actions.indexOf(Action.of(Work.BACKWARD, 0)), third);
    return actions;
  }

  @Override
  public boolean mayRecompute(Setting setting, int piece) {
    return piece < setting.stages() - 1;
  }

  @Override
  public boolean alwaysEarly(Setting setting, int stage, int microBatch) {
    int later = setting.stages() - 1 - stage;
    return microBatch >= setting.microBatches() - later
        || later == 1 && microBatch <= 1
        || later == 2 && microBatch == 0;
  }

  /** With slow links or quick backwards 1F1B may be quicker, the strict rules more often. */
  @Override
  public List<Rival> rivals(Setting setting) {
    var sparing = new HashSet<>(setting.recomputing());
    sparing.remove(setting.stages() - 1);
    Order plain =
        new OneForwardOneBackward().order(setting.withRecomputing(sparing, RecomputeTiming.EARLY));
    Order early = order(setting.withRecomputing(setting.recomputing(), RecomputeTiming.EARLY));
    return List.of(
        new Rival("shifted with every recompute early", early, false),
        new Rival("1f1b with every recompute early and none on the last stage", plain, true));
  }
}
