package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * When each action would run if a backward took twice as long as anything else. What memory a
 * program has is what it needs to run so without waiting for memory, be transfers quick or slow.
 */
final class Timetable {
  /** How long a sent value is under way where transfers are slow. */
  static final double TRANSFER = 1;

  private final Order order;
  private final Wiring wiring;
  private final double transfer;
  private final List<Map<Action, Integer>> places = new ArrayList<>();
  private final List<double[]> ends = new ArrayList<>();
  private final int[] next;

  /**
   * Lets the order run.
   *
   * @param transfer how long a value is under way between stages
   * @throws IllegalStateException if an action can never run, is missing or comes twice
   */
  Timetable(Order order, Wiring wiring, double transfer) {
    this.order = order;
    this.transfer = transfer;
    this.wiring = wiring;
    next = new int[stages()];
    for (List<Action> actions : order.stages()) {
      Map<Action, Integer> own = new HashMap<>();
      for (Action action : actions) {
        if (own.put(action, own.size()) != null) {
          throw new IllegalStateException(action + " comes twice in " + order.schedule());
        }
      }
      places.add(own);
      ends.add(new double[actions.size()]);
    }
    requireAll();
    boolean moved = true;
    while (moved) {
      moved = false;
      for (int stage = 0; stage < stages(); stage++) {
        while (next[stage] < order.stages().get(stage).size() && advance(stage)) {
          moved = true;
        }
      }
    }
    for (int stage = 0; stage < stages(); stage++) {
      if (next[stage] < order.stages().get(stage).size()) {
        throw new IllegalStateException(
            order.schedule()
                + " cannot go on: stage "
                + stage
                + " waits forever at "
                + order.stages().get(stage).get(next[stage]));
      }
    }
  }

  private void requireAll() {
    for (int piece = 0; piece < order.chunks() * stages(); piece++) {
      for (Work work : wiring.works(piece)) {
        for (int microBatch = 0; microBatch < order.microBatches(); microBatch++) {
          var action = new Action(work, microBatch, piece / stages());
          if (!places.get(piece % stages()).containsKey(action)) {
            throw new IllegalStateException(
                order.schedule() + " has no " + action + " on stage " + piece % stages());
          }
        }
      }
    }
  }

  int stages() {
    return order.stages().size();
  }

  /** The kind of work that an action does. */
  Wiring.Maker maker(int stage, Action action) {
    return new Wiring.Maker(action.chunk() * stages() + stage, action.work());
  }

  private boolean advance(int stage) {
    Action action = order.stages().get(stage).get(next[stage]);
    Wiring.Maker maker = maker(stage, action);
    double start = next[stage] == 0 ? 0 : ends.get(stage)[next[stage] - 1];
    double duration = 0;
    if (wiring.has(maker)) {
      duration = action.work() == Work.BACKWARD ? 2 : 1;
      var awaited = new ArrayList<>(wiring.inputs(maker).values());
      if (isInline(stage, action)) {
        awaited.addAll(arriving(maker));
      }
      for (Wiring.Maker source : awaited) {
        if (!hasRun(source, action.microBatch())) {
          return false;
        }
        double way = source.piece() % stages() == stage ? 0 : transfer;
        start = Math.max(start, end(source, action.microBatch()) + way);
      }
    }
    ends.get(stage)[next[stage]++] = start + duration;
    return true;
  }

  /** Whether a recompute waits for what its backward waits for. */
  boolean isInline(int stage, Action action) {
    return order.inline().get(stage).contains(action);
  }

  /** Who in other pieces makes what the backward of a recompute takes. */
  List<Wiring.Maker> arriving(Wiring.Maker recompute) {
    var arriving = new ArrayList<Wiring.Maker>();
    for (Work work : List.of(Work.BACKWARD, Work.INPUT_GRADIENT)) {
      var backward = new Wiring.Maker(recompute.piece(), work);
      if (wiring.has(backward)) {
        wiring.inputs(backward).values().stream()
            .filter(maker -> maker.piece() != recompute.piece())
            .forEach(arriving::add);
      }
    }
    return arriving;
  }

  /** The place of work on a micro-batch in the order of its stage. */
  int place(Wiring.Maker maker, int microBatch) {
    var action = new Action(maker.work(), microBatch, maker.piece() / stages());
    return Objects.requireNonNull(places.get(maker.piece() % stages()).get(action));
  }

  private boolean hasRun(Wiring.Maker maker, int microBatch) {
    return place(maker, microBatch) < next[maker.piece() % stages()];
  }

  /** When work on a micro-batch ends. */
  double end(Wiring.Maker maker, int microBatch) {
    return ends.get(maker.piece() % stages())[place(maker, microBatch)];
  }

  /** When an action of a stage ends. */
  double end(int stage, int place) {
    return ends.get(stage)[place];
  }

  /** When an action of a stage begins; its duration is that of its kind of work. */
  double start(int stage, int place) {
    Action action = order.stages().get(stage).get(place);
    return end(stage, place) - (action.work() == Work.BACKWARD ? 2 : 1);
  }
}
