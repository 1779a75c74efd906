package dev.weft.core.schedule;

import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.stream.IntStream;

/**
 * Which slot each micro-batch has: as few slots as micro-batches are there at once, each time the
 * one that has been free for longest, so that it can be filled ahead.
 *
 * @param count how many slots there are
 * @param of each micro-batch
 */
record Slots(int count, List<Integer> of) {
  private record Free(int slot, double since) {}

  static Slots of(Tenancy.Times times) {
    int count = assign(times, 0).count();
    return assign(times, count);
  }

  private static Slots assign(Tenancy.Times times, int atFirst) {
    int microBatches = times.starts().size();
    List<Integer> byStart =
        IntStream.range(0, microBatches)
            .boxed()
            .sorted(Comparator.comparing(times.starts()::get))
            .toList();
    var free =
        new PriorityQueue<Free>(
            Comparator.comparingDouble(Free::since).thenComparingInt(Free::slot));
    for (int slot = 0; slot < atFirst; slot++) {
      free.add(new Free(slot, -1));
    }
    int count = atFirst;
    Integer[] slots = new Integer[microBatches];
    for (int microBatch : byStart) {
      Free oldest = free.peek();
      if (oldest != null && oldest.since() <= times.starts().get(microBatch)) {
        free.remove();
        slots[microBatch] = oldest.slot();
      } else {
        slots[microBatch] = count++;
      }
      free.add(new Free(slots[microBatch], times.ends().get(microBatch)));
    }
    return new Slots(count, List.of(slots));
  }
}
