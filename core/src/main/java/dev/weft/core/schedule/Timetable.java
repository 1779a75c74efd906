package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * When each action would run if a backward took twice as long as anything else. What memory a
 * program has is what it needs to run so without waiting for memory, be transfers quick or slow.
 */
final class Timetable {
  /** How long a sent value is under way where transfers are slow. */
  static final double TRANSFER = 1;

  private static final int WORKS = Work.values().length;

  private final Order order;
  private final Wiring wiring;
  private final double transfer;

  /** Of each stage, by kind of work, chunk and micro-batch, the place in its order; -1 for none. */
  private final int[][] places;

  private final double[][] ends;
  private final int[] next;

  /** Of each stage, by kind of work and chunk, what it takes. */
  private final Sources[][] sources;

  /**
   * What a kind of work takes of others, by their stages and kinds.
   *
   * @param has whether there is such work at all
   * @param first how many of them it always waits for; for all if its recompute is inline
   */
  private record Sources(boolean has, int[] stages, int[] kinds, int first) {}

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
    places = new int[stages()][];
    ends = new double[stages()][];
    sources = new Sources[stages()][];
    for (int stage = 0; stage < stages(); stage++) {
      places[stage] = places(stage);
      ends[stage] = new double[order.stages().get(stage).size()];
      sources[stage] = sources(stage);
    }
    requireAll();
    // Forwards go one way and backwards the other.
    boolean moved = true;
    for (boolean up = true; moved; up = !up) {
      moved = false;
      for (int i = 0; i < stages(); i++) {
        int stage = up ? i : stages() - 1 - i;
        while (next[stage] < ends[stage].length && advance(stage)) {
          moved = true;
        }
      }
    }
    for (int stage = 0; stage < stages(); stage++) {
      if (next[stage] < ends[stage].length) {
        throw new IllegalStateException(
            order.schedule()
                + " cannot go on: stage "
                + stage
                + " waits forever at "
                + order.stages().get(stage).get(next[stage]));
      }
    }
  }

  private int[] places(int stage) {
    int[] own = new int[WORKS * order.chunks() * order.microBatches()];
    Arrays.fill(own, -1);
    int place = 0;
    for (Action action : order.stages().get(stage)) {
      if (action.chunk() >= order.chunks() || action.microBatch() >= order.microBatches()) {
        throw new IllegalStateException(action + " in " + order.schedule() + " is for nothing");
      }
      int at = kind(action.work(), action.chunk()) * order.microBatches() + action.microBatch();
      if (own[at] >= 0) {
        throw new IllegalStateException(action + " comes twice in " + order.schedule());
      }
      own[at] = place++;
    }
    return own;
  }

  private int kind(Work work, int chunk) {
    return work.ordinal() * order.chunks() + chunk;
  }

  private int kind(Wiring.Maker maker) {
    return kind(maker.work(), maker.piece() / stages());
  }

  private Sources[] sources(int stage) {
    var own = new Sources[WORKS * order.chunks()];
    for (Work work : Work.values()) {
      for (int chunk = 0; chunk < order.chunks(); chunk++) {
        var maker = new Wiring.Maker(chunk * stages() + stage, work);
        boolean has = wiring.has(maker);
        var taken =
            has
                ? new ArrayList<>(new HashSet<>(wiring.inputs(maker).values()))
                : new ArrayList<Wiring.Maker>();
        int first = taken.size();
        if (has && work == Work.RECOMPUTE) {
          taken.addAll(arriving(maker));
        }
        own[kind(work, chunk)] =
            new Sources(
                has,
                taken.stream().mapToInt(m -> m.piece() % stages()).toArray(),
                taken.stream().mapToInt(this::kind).toArray(),
                first);
      }
    }
    return own;
  }

  private void requireAll() {
    for (int piece = 0; piece < order.chunks() * stages(); piece++) {
      for (Work work : wiring.works(piece)) {
        for (int microBatch = 0; microBatch < order.microBatches(); microBatch++) {
          if (placeOrNone(new Wiring.Maker(piece, work), microBatch) < 0) {
            throw new IllegalStateException(
                order.schedule()
                    + " has no "
                    + new Action(work, microBatch, piece / stages())
                    + " on stage "
                    + piece % stages());
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
    Sources taken = sources[stage][kind(action.work(), action.chunk())];
    double start = next[stage] == 0 ? 0 : ends[stage][next[stage] - 1];
    double duration = 0;
    if (taken.has()) {
      duration = action.work() == Work.BACKWARD ? 2 : 1;
      int count = isInline(stage, action) ? taken.stages().length : taken.first();
      for (int i = 0; i < count; i++) {
        int other = taken.stages()[i];
        int place = places[other][taken.kinds()[i] * order.microBatches() + action.microBatch()];
        if (place >= next[other]) {
          return false;
        }
        start = Math.max(start, ends[other][place] + (other == stage ? 0 : transfer));
      }
    }
    ends[stage][next[stage]++] = start + duration;
    return true;
  }

  /** Whether a recompute waits for what its backward waits for. */
  boolean isInline(int stage, Action action) {
    Set<Action> inline = order.inline().get(stage);
    return !inline.isEmpty() && inline.contains(action);
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

  private int placeOrNone(Wiring.Maker maker, int microBatch) {
    return places[maker.piece() % stages()][kind(maker) * order.microBatches() + microBatch];
  }

  /** The place of work on a micro-batch in the order of its stage. */
  int place(Wiring.Maker maker, int microBatch) {
    int place = placeOrNone(maker, microBatch);
    if (place < 0) {
      throw new IllegalStateException(order.schedule() + " does not do " + maker);
    }
    return place;
  }

  /** When work on a micro-batch ends. */
  double end(Wiring.Maker maker, int microBatch) {
    return ends[maker.piece() % stages()][place(maker, microBatch)];
  }

  /** When an action of a stage ends. */
  double end(int stage, int place) {
    return ends[stage][place];
  }

  /** When an action of a stage begins; its duration is that of its kind of work. */
  double start(int stage, int place) {
    Action action = order.stages().get(stage).get(place);
    return end(stage, place) - (action.work() == Work.BACKWARD ? 2 : 1);
  }
}
