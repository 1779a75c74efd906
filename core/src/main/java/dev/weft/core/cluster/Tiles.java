package dev.weft.core.cluster;

import java.util.List;

/**
 * How a dim is cut over mesh axes: the first axis cuts it into tiles of ceil(size / n), the next
 * cuts each tile likewise. Tiles at the end may be shorter, or empty; every device keeps room for
 * the longest, and what lies behind its own tile is padding of unknown content. Gathering the last
 * axis gives the tiles of the axes before it.
 *
 * @param size of the whole dim
 * @param counts the sizes of the axes, outermost first
 */
public record Tiles(long size, List<Integer> counts) {
  public Tiles {
    counts = List.copyOf(counts);
  }

  public static Tiles of(long size, List<MeshAxis> axes) {
    return new Tiles(size, axes.stream().map(MeshAxis::size).toList());
  }

  /** How many tiles there are. */
  public int count() {
    int count = 1;
    for (int n : counts) {
      count *= n;
    }
    return count;
  }

  /** The room that every device keeps: the size of the longest tile. */
  public long room() {
    return room(counts.size());
  }

  private long room(int levels) {
    long room = size;
    for (int level = 0; level < levels; level++) {
      room = Math.ceilDiv(room, counts.get(level));
    }
    return room;
  }

  /** Where a tile starts; for an empty tile the size of the dim at most. */
  public long start(int tile) {
    return position(tile, false);
  }

  /** How long a tile is. */
  public long length(int tile) {
    return position(tile, true);
  }

  private long position(int tile, boolean length) {
    long start = 0;
    long rest = size;
    long room = size;
    int divisor = count();
    int number = tile;
    for (int count : counts) {
      divisor /= count;
      int coordinate = number / divisor;
      number %= divisor;
      room = Math.ceilDiv(room, count);
      long skip = Math.min(rest, room * coordinate);
      start += skip;
      rest = Math.min(room, rest - skip);
    }
    return length ? rest : start;
  }

  /** Whether all tiles are full. */
  public boolean isEven() {
    return room() * count() == size;
  }
}
