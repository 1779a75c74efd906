package dev.weft.engine.program;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Gives each scratch buffer a place in one slab so that buffers that live at the same time do not
 * overlap: the largest first, each at the lowest place that is free during its life (greedy by
 * size, Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, section 5).
 *
 * @param bytes the slab's size
 * @param liveBytes the most bytes that live at once: no plan needs fewer
 * @param fullest the first position at which so many live; 0 where there are none
 */
record MemoryPlan(long bytes, long liveBytes, int fullest) {
  /** Buffers begin at cache lines, as vector instructions like it. */
  private static final long ALIGNMENT = 64;

  static MemoryPlan of(List<Buffer> buffers) {
    var order = new ArrayList<>(buffers);
    order.sort(
        Comparator.comparingLong((Buffer b) -> -b.bytes).thenComparingInt((Buffer b) -> b.first));
    int positions = 1 + buffers.stream().mapToInt(b -> b.last).max().orElse(0);
    var occupancy = new Occupancy(positions);
    long end = 0;
    for (Buffer buffer : order) {
      long size = align(buffer.bytes);
      buffer.offset = occupancy.lowestFree(buffer.first, buffer.last, size);
      if (size > 0) {
        occupancy.take(buffer.first, buffer.last, buffer.offset, buffer.offset + size);
      }
      end = Math.max(end, buffer.offset + size);
    }
    return measured(end, buffers);
  }

  private static long align(long bytes) {
    return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
  }

  private static MemoryPlan measured(long bytes, List<Buffer> buffers) {
    int end = buffers.stream().mapToInt(b -> b.last).max().orElse(0);
    long[] change = new long[end + 2];
    for (Buffer buffer : buffers) {
      change[buffer.first] += buffer.bytes;
      change[buffer.last + 1] -= buffer.bytes;
    }
    long alive = 0;
    long most = 0;
    int fullest = 0;
    for (int position = 0; position < change.length; position++) {
      alive += change[position];
      if (alive > most) {
        most = alive;
        fullest = position;
      }
    }
    return new MemoryPlan(bytes, most, fullest);
  }
}
