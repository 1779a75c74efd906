package dev.weft.engine.program;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** What items read of one root, found by place: parts of large stacks are read by many items. */
final class Reads {
  /**
   * One item's reading.
   *
   * @param item its position
   * @param from the first element of the root
   * @param to one behind the last element of the root
   */
  record Read(int item, Flat flat, long from, long to) {}

  static final Reads NONE = new Reads(new ArrayList<>());

  private final List<Read> reads;

  /** By read: the largest {@code to} of it and those before. */
  private final long[] reach;

  private Reads(List<Read> reads) {
    this.reads = reads;
    reads.sort(Comparator.comparingLong(Read::from));
    reach = new long[reads.size()];
    for (int i = 0; i < reach.length; i++) {
      reach[i] = Math.max(reads.get(i).to(), i == 0 ? 0 : reach[i - 1]);
    }
  }

  /** All reads of items, by roots. */
  static Map<Flat, Reads> of(List<Item> items) {
    Map<Flat, List<Read>> found = new HashMap<>();
    for (int position = 0; position < items.size(); position++) {
      for (Flat flat : items.get(position).reads()) {
        long[] range = flat.range();
        found
            .computeIfAbsent(flat.root(), _ -> new ArrayList<>())
            .add(new Read(position, flat, range[0], range[1]));
      }
    }
    Map<Flat, Reads> all = new HashMap<>();
    found.forEach((root, reads) -> all.put(root, new Reads(reads)));
    return all;
  }

  /** Those that read something of a range of elements. */
  void overlapping(long[] range, Consumer<Read> visitor) {
    int low = 0;
    int high = reads.size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (reads.get(middle).from() < range[1]) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (int i = low - 1; i >= 0 && reach[i] > range[0]; i--) {
      if (reads.get(i).to() > range[0]) {
        visitor.accept(reads.get(i));
      }
    }
  }
}
