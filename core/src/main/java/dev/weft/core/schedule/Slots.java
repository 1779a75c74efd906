package dev.weft.core.schedule;

import java.util.ArrayList;
import java.util.Arrays;
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
   * @param last the micro-batch that had it; -1 for none
   * @param since when it is free again, by the first timetable
   */
  private record Free(int slot, int last, double since) implements Comparable<Free> {
    @Override
    public int compareTo(Free other) {
      int earlier = Double.compare(since, other.since);
      return earlier != 0 ? earlier : Integer.compare(slot, other.slot);
    }
  }

  static Slots of(Tenancy.Times times) {
    int[] byStart = byStart(times.starts()[0]);
    int count = assign(times, byStart, 0).count();
    return assign(times, byStart, count);
  }

  /** Micro-batches by the time when they come. */
  private static int[] byStart(double[] starts) {
    int[] order = IntStream.range(0, starts.length).toArray();
    boolean sorted = true;
    for (int i = 1; sorted && i < starts.length; i++) {
      sorted = starts[i - 1] <= starts[i];
    }
    return sorted
        ? order
        : Arrays.stream(order)
            .boxed()
            .sorted(Comparator.comparingDouble(microBatch -> starts[microBatch]))
            .mapToInt(Integer::intValue)
            .toArray();
  }

  private static Slots assign(Tenancy.Times times, int[] byStart, int atFirst) {
    var free = new PriorityQueue<Free>();
    for (int slot = 0; slot < atFirst; slot++) {
      free.add(new Free(slot, -1, -1));
    }
    int count = atFirst;
    Integer[] slots = new Integer[byStart.length];
    var busy = new ArrayList<Free>();
    for (int microBatch : byStart) {
      Free oldest = free.peek();
      while (oldest != null
          && oldest.since() <= times.starts()[0][microBatch]
          && !isFree(oldest, times, microBatch)) {
        busy.add(free.remove());
        oldest = free.peek();
      }
      if (oldest != null && isFree(oldest, times, microBatch)) {
        free.remove();
        slots[microBatch] = oldest.slot();
      } else {
        slots[microBatch] = count++;
      }
      free.addAll(busy);
      busy.clear();
      free.add(new Free(slots[microBatch], microBatch, times.ends()[0][microBatch]));
    }
    return new Slots(count, List.of(slots));
  }

  private static boolean isFree(Free slot, Tenancy.Times times, int microBatch) {
    for (int timetable = 0; timetable < Tenancy.TIMETABLES; timetable++) {
      double since = slot.last() < 0 ? -1 : times.ends()[timetable][slot.last()];
      if (since > times.starts()[timetable][microBatch]) {
        return false;
      }
    }
    return true;
  }
}
