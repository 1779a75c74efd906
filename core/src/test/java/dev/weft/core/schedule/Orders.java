package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.random.RandomGenerator;

/** Orders to test with: written out here, and random ones. */
final class Orders {
  private Orders() {}

  /** One forward, one backward, with recomputes right before backwards where there are graphs. */
  static Order oneForwardOneBackward(int stages, int microBatches, boolean inline) {
    var all = new ArrayList<List<Action>>();
    for (int stage = 0; stage < stages; stage++) {
      var actions = new ArrayList<Action>();
      int ahead = Math.min(microBatches, stages - stage);
      for (int m = 0; m < ahead; m++) {
        actions.add(Action.of(Work.FORWARD, m));
      }
      for (int m = 0; m < microBatches; m++) {
        actions.add(Action.of(Work.RECOMPUTE, m));
        actions.add(Action.of(Work.BACKWARD, m));
        if (m + ahead < microBatches) {
          actions.add(Action.of(Work.FORWARD, m + ahead));
        }
      }
      all.add(actions);
    }
    return new Order("1f1b", 1, microBatches, all, inline ? recomputes(all) : none(all));
  }

  static Order gpipe(int stages, int microBatches) {
    var all = new ArrayList<List<Action>>();
    for (int stage = 0; stage < stages; stage++) {
      var actions = new ArrayList<Action>();
      for (int m = 0; m < microBatches; m++) {
        actions.add(Action.of(Work.FORWARD, m));
      }
      for (int m = microBatches - 1; m >= 0; m--) {
        actions.add(Action.of(Work.RECOMPUTE, m));
        actions.add(Action.of(Work.BACKWARD, m));
      }
      all.add(actions);
    }
    return new Order("gpipe", 1, microBatches, all, none(all));
  }

  /**
   * Any order that can run: actions are put on their stages one after another, always one whose
   * predecessors are there.
   *
   * @param split whether backwards are split
   */
  static Order random(
      RandomGenerator random, int stages, int chunks, int microBatches, boolean split) {
    List<Work> works =
        split
            ? List.of(Work.FORWARD, Work.RECOMPUTE, Work.INPUT_GRADIENT, Work.WEIGHT_GRADIENT)
            : List.of(Work.FORWARD, Work.RECOMPUTE, Work.BACKWARD);
    Work backward = split ? Work.INPUT_GRADIENT : Work.BACKWARD;
    int pieces = stages * chunks;
    record Place(int piece, Action action) {}
    var open = new ArrayList<Place>();
    for (int piece = 0; piece < pieces; piece++) {
      for (int m = 0; m < microBatches; m++) {
        for (Work work : works) {
          open.add(new Place(piece, new Action(work, m, piece / stages)));
        }
      }
    }
    Set<Place> done = new HashSet<>();
    var all = new ArrayList<List<Action>>();
    for (int stage = 0; stage < stages; stage++) {
      all.add(new ArrayList<>());
    }
    boolean inline = random.nextBoolean();
    int favour = random.nextInt(3);
    while (!open.isEmpty()) {
      var ready = new ArrayList<Place>();
      for (Place place : open) {
        int m = place.action().microBatch();
        Work work = place.action().work();
        boolean may =
            works.subList(0, works.indexOf(work)).stream()
                .allMatch(w -> done.contains(at(place.piece(), w, m, stages, Place::new)));
        if (work == Work.FORWARD && place.piece() > 0) {
          may &= done.contains(at(place.piece() - 1, work, m, stages, Place::new));
        }
        boolean arriving = work == backward || inline && work == Work.RECOMPUTE;
        if (arriving && place.piece() < pieces - 1) {
          may &= done.contains(at(place.piece() + 1, backward, m, stages, Place::new));
        }
        if (work == backward && place.piece() == pieces - 1) {
          may &= done.contains(at(pieces - 1, Work.FORWARD, m, stages, Place::new));
        }
        if (may) {
          ready.add(place);
        }
      }
      // Some runs go deep first, some broad, some anyhow.
      if (favour < 2) {
        Comparator<Place> byWork = Comparator.comparing(p -> p.action().work());
        ready.sort(favour == 0 ? byWork : byWork.reversed());
      }
      int bound = favour == 2 ? ready.size() : Math.min(ready.size(), 2);
      Place chosen = ready.get(random.nextInt(bound));
      all.get(chosen.piece() % stages).add(chosen.action());
      done.add(chosen);
      open.remove(chosen);
    }
    return new Order("random", chunks, microBatches, all, inline ? recomputes(all) : none(all));
  }

  private static <T> T at(
      int piece,
      Work work,
      int microBatch,
      int stages,
      java.util.function.BiFunction<Integer, Action, T> make) {
    return make.apply(piece, new Action(work, microBatch, piece / stages));
  }

  private static List<Set<Action>> none(List<List<Action>> stages) {
    return java.util.Collections.nCopies(stages.size(), Set.of());
  }

  private static List<Set<Action>> recomputes(List<List<Action>> stages) {
    var all = new ArrayList<Set<Action>>();
    for (List<Action> actions : stages) {
      Set<Action> own = new HashSet<>();
      actions.stream().filter(a -> a.work() == Work.RECOMPUTE).forEach(own::add);
      all.add(own);
    }
    return all;
  }
}
