package dev.weft.core.collective;

import dev.weft.core.cluster.Tiles;

/**
 * Which elements of a dim a tile of a windowed op's result needs. Element o of the result sees the
 * positions {@code stride * o - low} to {@code stride * o - low + window - 1} of the input, spread
 * so that its element e stands at position {@code dilation * e}.
 *
 * @param size of the input's dim
 * @param result size of the result's dim
 * @param window how many positions a result's element sees, holes included
 * @param stride the distance of neighbours' windows
 * @param low how far the first window begins before the first element; negative where it begins
 *     behind it
 * @param dilation the distance of the input's elements, 1 where they stand side by side
 */
public record HaloRange(long size, long result, long window, long stride, long low, long dilation) {
  /** The first element that a tile beginning at {@code start} of the result needs. */
  public long first(long start) {
    return Math.ceilDiv(stride * start - low, dilation);
  }

  /** One behind the last element that the tile needs; at least {@link #first}. */
  public long limit(long start, long length) {
    if (length <= 0) {
      return first(start);
    }
    long last = Math.floorDiv(stride * (start + length - 1) - low + window - 1, dilation);
    return Math.max(first(start), last + 1);
  }

  /** How far a tile's first element stands behind the position where its first window begins. */
  public long phase(long start) {
    return dilation * first(start) - (stride * start - low);
  }

  /** The most elements that any tile of {@code length} needs. */
  public long width(Tiles tiles) {
    long width = 0;
    for (int tile = 0; tile < tiles.count(); tile++) {
      long start = tiles.start(tile);
      width = Math.max(width, limit(start, tiles.room()) - first(start));
    }
    return width;
  }
}
