package dev.weft.core.schedule;

import dev.weft.core.cluster.UserException;
import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** A rule for the order in which stages compute. One file, and one line in {@link Schedules}. */
public interface Schedule {
  String name();

  /** Why it cannot run in such a setting, and the mend; empty where it can. */
  default Optional<String> obstacle(Setting setting) {
    return setting.chunks() == 1
        ? Optional.empty()
        : Optional.of(
            "needs one chunk per stage, found --chunks "
                + setting.chunks()
                + ": leave --chunks out or take --schedule interleaved");
  }

  /**
   * Checks that it can run in such a setting.
   *
   * @throws UserException if it cannot
   */
  default void require(Setting setting) {
    obstacle(setting)
        .ifPresent(
            why -> {
              throw new UserException("schedule " + name() + " " + why);
            });
  }

  /**
   * What a stage does: every forward before its backward (or its input gradient, then its weight
   * gradient), no recomputes.
   */
  List<Action> stage(Setting setting, int stage);

  /** Whether a piece recomputes where the setting says that it does. */
  default boolean mayRecompute(Setting setting, int piece) {
    return true;
  }

  /** Whether a recompute never waits for cotangents, even where all others do. */
  default boolean alwaysEarly(Setting setting, int stage, int microBatch) {
    return false;
  }

  /**
   * Another order for the same setting, and what it is called.
   *
   * @param plain whether it is the order that this schedule must never be slower than
   */
  record Rival(String name, Order order, boolean plain) {}

  /**
   * What may be taken instead where this schedule, for the costs at hand, is slower than a plainer
   * one.
   */
  default List<Rival> rivals(Setting setting) {
    return List.of();
  }

  /** How many chunks per stage it runs with where the user says nothing. */
  default int usualChunks() {
    return 1;
  }

  /**
   * The order of all stages, every recompute right before what needs it.
   *
   * @throws UserException if the schedule cannot run in such a setting
   */
  default Order order(Setting setting) {
    require(setting);
    var stages = new ArrayList<List<Action>>();
    var inline = new ArrayList<Set<Action>>();
    for (int stage = 0; stage < setting.stages(); stage++) {
      var actions = new ArrayList<Action>();
      var waiting = new HashSet<Action>();
      for (Action action : stage(setting, stage)) {
        int piece = setting.piece(action.chunk(), stage);
        boolean backward = action.work() == Work.BACKWARD || action.work() == Work.INPUT_GRADIENT;
        if (backward && setting.recomputing().contains(piece) && mayRecompute(setting, piece)) {
          var recompute = new Action(Work.RECOMPUTE, action.microBatch(), action.chunk());
          actions.add(recompute);
          if (setting.timing() == RecomputeTiming.INLINE
              && !alwaysEarly(setting, stage, action.microBatch())) {
            waiting.add(recompute);
          }
        }
        actions.add(action);
      }
      stages.add(actions);
      inline.add(waiting);
    }
    return new Order(name(), setting.chunks(), setting.microBatches(), stages, inline);
  }
}
