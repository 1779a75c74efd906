package dev.weft.core.schedule;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.stream.IntStream;

/**
 * Which slot each micro-batch has: as few slots as micro-batches are there at once, each time the
 * one that has been free for longest, so that it can be filled ahead. A slot is free where it is by
 * all timetables.
 *
 * @param count how many slots there are
 * @param of each micro-batch
 */
record Slots(int count, List<Integer> of) {
  /**
   * A slot that was given away.
   *
   * @param since when it is free again, by each timetable
   */
  private record Free(int slot, List<Double> since) {}

  static Slots of(Tenancy.Times times) {
    int count = assign(times, 0).count();
    return assign(times, count);
  }

  private static Slots assign(Tenancy.Times times, int atFirst) {
    int microBatches = times.starts().size();
    List<Integer> byStart =
        IntStream.range(0, microBatches)
            .boxed()
            .sorted(Comparator.comparing(microBatch -> times.starts().get(microBatch).getFirst()))
            .toList();
    var free =
        new PriorityQueue<Free>(
            Comparator.comparingDouble((Free slot) -> slot.since().getFirst())
                .thenComparingInt(Free::slot));
    for (int slot = 0; slot < atFirst; slot++) {
      free.add(new Free(slot, List.of(-1.0, -1.0)));
    }
    int count = atFirst;
    Integer[] slots = new Integer[microBatches];
    for (int microBatch : byStart) {
      List<Double> start = times.starts().get(microBatch);
      var busy = new ArrayList<Free>();
      Free oldest = free.peek();
      while (oldest != null
          && oldest.since().getFirst() <= start.getFirst()
          && !isFree(oldest, start)) {
        busy.add(free.remove());
        oldest = free.peek();
      }
      if (oldest != null && isFree(oldest, start)) {
        free.remove();
        slots[microBatch] = oldest.slot();
      } else {
        slots[microBatch] = count++;
      }
      free.addAll(busy);
      free.add(new Free(slots[microBatch], times.ends().get(microBatch)));
    }
    return new Slots(count, List.of(slots));
  }

  private static boolean isFree(Free slot, List<Double> start) {
    for (int timetable = 0; timetable < start.size(); timetable++) {
      if (slot.since().get(timetable) > start.get(timetable)) {
        return false;
      }
    }
    return true;
  }
}
