package dev.weft.engine.program;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which bytes of a slab are taken at which positions of a program: a segment tree over positions
 * (Bentley, Algorithms for Klee's rectangle problems), each node with unions of ranges of bytes. As
 * neighbours in memory grow together, these stay few, so that a place is found without looking at
 * all buffers that live meanwhile.
 */
final class Occupancy {
  private final int leaves;

  /** By node: what is taken all over its span, but not all over its parent's. */
  private final @Nullable Ranges[] throughout;

  /** By node: what is taken somewhere in its span, but not all over its parent's. */
  private final @Nullable Ranges[] somewhere;

  /** Nothing is taken at any of so many positions. */
  Occupancy(int positions) {
    leaves = Math.max(1, Integer.highestOneBit(Math.max(1, 2 * positions - 1)));
    throughout = new Ranges[2 * leaves];
    somewhere = new Ranges[2 * leaves];
  }

  /** The lowest offset from which so many bytes are free from a position to another, inclusive. */
  long lowestFree(int first, int last, long bytes) {
    List<Ranges> taken = new ArrayList<>();
    collect(1, 0, leaves - 1, first, last, taken);
    long offset = 0;
    long before;
    do {
      before = offset;
      for (Ranges ranges : taken) {
        offset = ranges.lowestFree(offset, bytes);
      }
    } while (offset > before);
    return offset;
  }

  private void collect(int node, int low, int high, int first, int last, List<Ranges> taken) {
    if (last < low || high < first) {
      return;
    }
    boolean inside = first <= low && high <= last;
    Ranges ranges = inside ? somewhere[node] : throughout[node];
    if (ranges != null) {
      taken.add(ranges);
    }
    if (!inside) {
      int middle = (low + high) >>> 1;
      collect(2 * node, low, middle, first, last, taken);
      collect(2 * node + 1, middle + 1, high, first, last, taken);
    }
  }

  /**
   * Takes the bytes from an offset to another, exclusive, from a position to another, inclusive.
   */
  void take(int first, int last, long start, long end) {
    take(1, 0, leaves - 1, first, last, start, end);
  }

  private void take(int node, int low, int high, int first, int last, long start, long end) {
    if (last < low || high < first) {
      return;
    }
    add(somewhere, node, start, end);
    if (first <= low && high <= last) {
      add(throughout, node, start, end);
    } else {
      int middle = (low + high) >>> 1;
      take(2 * node, low, middle, first, last, start, end);
      take(2 * node + 1, middle + 1, high, first, last, start, end);
    }
  }

  private static void add(@Nullable Ranges[] nodes, int node, long start, long end) {
    Ranges ranges = nodes[node];
    if (ranges == null) {
      ranges = new Ranges();
      nodes[node] = ranges;
    }
    ranges.add(start, end);
  }

  /** A union of ranges: apart from each other, in order. */
  private static final class Ranges {
    private long[] starts = new long[1];
    private long[] ends = new long[1];
    private int count;

    /** The first range that ends at or behind an offset. */
    private int at(long offset) {
      int found = Arrays.binarySearch(ends, 0, count, offset);
      return found < 0 ? -found - 1 : found;
    }

    /** The lowest offset, not below a given one, from which so many bytes are free. */
    long lowestFree(long offset, long bytes) {
      long free = offset;
      for (int i = at(offset); i < count && starts[i] < free + bytes; i++) {
        free = Math.max(free, ends[i]);
      }
      return free;
    }

    void add(long start, long end) {
      int from = at(start);
      int to = from;
      long low = start;
      long high = end;
      while (to < count && starts[to] <= end) {
        low = Math.min(low, starts[to]);
        high = Math.max(high, ends[to]);
        to++;
      }
      if (to == from) {
        if (count == starts.length) {
          starts = Arrays.copyOf(starts, 2 * count);
          ends = Arrays.copyOf(ends, 2 * count);
        }
        System.arraycopy(starts, from, starts, from + 1, count - from);
        System.arraycopy(ends, from, ends, from + 1, count - from);
        count++;
      } else if (to > from + 1) {
        System.arraycopy(starts, to, starts, from + 1, count - to);
        System.arraycopy(ends, to, ends, from + 1, count - to);
        count -= to - from - 1;
      }
      starts[from] = low;
      ends[from] = high;
    }
  }
}
