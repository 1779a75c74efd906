package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * When the actions of an order end on stages that hand values to their neighbours: straight from
 * the order, without a program, round after round until nothing moves any more.
 *
 * @param ends by piece and action
 */
public record OrderClock(Order order, Map<Place, Double> ends) {
  public record Place(Work work, int microBatch, int piece) {}

  /**
   * Runs an order.
   *
   * @param costs time of each kind of work
   * @param delay of every value between stages
   */
  public static OrderClock of(Order order, Map<Work, Double> costs, double delay) {
    int stages = order.stages().size();
    var ends = new HashMap<Place, Double>();
    int[] next = new int[stages];
    double[] free = new double[stages];
    boolean moved = true;
    while (moved) {
      moved = false;
      for (int stage = 0; stage < stages; stage++) {
        List<Action> actions = order.stages().get(stage);
        while (next[stage] < actions.size()) {
          Action action = actions.get(next[stage]);
          double start = free[stage];
          boolean ready = true;
          for (Place need : needs(order, stage, action)) {
            Double end = ends.get(need);
            if (end == null) {
              ready = false;
              break;
            }
            start = Math.max(start, end + (need.piece % stages == stage ? 0 : delay));
          }
          if (!ready) {
            break;
          }
          free[stage] = start + costs.get(action.work());
          ends.put(
              new Place(action.work(), action.microBatch(), action.chunk() * stages + stage),
              free[stage]);
          next[stage]++;
          moved = true;
        }
      }
    }
    for (int stage = 0; stage < stages; stage++) {
      if (next[stage] < order.stages().get(stage).size()) {
        throw new IllegalStateException(
            "stage " + stage + " stands at " + order.stages().get(stage).get(next[stage]));
      }
    }
    return new OrderClock(order, ends);
  }

  /** What must have ended before an action: of neighbouring pieces, and of the same piece. */
  private static List<Place> needs(Order order, int stage, Action action) {
    int stages = order.stages().size();
    int last = stages * order.chunks() - 1;
    int piece = action.chunk() * stages + stage;
    int microBatch = action.microBatch();
    boolean split =
        order.stages().getFirst().stream().anyMatch(a -> a.work() == Work.INPUT_GRADIENT);
    var cotangent = new Place(split ? Work.INPUT_GRADIENT : Work.BACKWARD, microBatch, piece + 1);
    var needs = new ArrayList<Place>();
    switch (action.work()) {
      case FORWARD -> {
        if (piece > 0) {
          needs.add(new Place(Work.FORWARD, microBatch, piece - 1));
        }
      }
      case RECOMPUTE -> {
        needs.add(new Place(Work.FORWARD, microBatch, piece));
        if (piece < last && order.inline().get(stage).contains(action)) {
          needs.add(cotangent);
        }
      }
      case BACKWARD, INPUT_GRADIENT -> {
        needs.add(new Place(Work.FORWARD, microBatch, piece));
        if (piece < last) {
          needs.add(cotangent);
        }
      }
      case WEIGHT_GRADIENT -> needs.add(new Place(Work.INPUT_GRADIENT, microBatch, piece));
      case MICRO_BATCH, STEP -> throw new IllegalArgumentException("orders have no steps");
    }
    return needs;
  }

  public double makespan() {
    return ends.values().stream().mapToDouble(end -> end).max().orElse(0);
  }

  /** The most micro-batches between a kind of work and another on a stage, by chunk. */
  int peak(int stage, Work from, Work to) {
    int live = 0;
    int peak = 0;
    for (Action action : order.stages().get(stage)) {
      if (action.work() == from) {
        peak = Math.max(peak, ++live);
      } else if (action.work() == to) {
        live--;
      }
    }
    return peak;
  }
}
