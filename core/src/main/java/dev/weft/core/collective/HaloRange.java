package dev.weft.core.collective;

import dev.weft.core.cluster.Tiles;

/**
 * Which elements of a dim a tile of a windowed op's result needs. Element o of the result sees the
 * positions {@code stride * o - low} to {@code stride * o - low + window - 1} of the input, spread
 * so that its element e stands at position {@code dilation * e}.
 *
 * <p>All devices run one op. Where the input is spread, windows of tiles may begin at different
 * places between two elements; then every tile begins to compute a few steps early, at a multiple
 * of {@code align}, and the early steps are cut off ({@link StepSlice}).
 *
 * @param size of the input's dim
 * @param result size of the result's dim
 * @param window how many positions a result's element sees, holes included
 * @param stride the distance of neighbours' windows
 * @param low how far the first window begins before the first element; negative where it begins
 *     behind it
 * @param dilation the distance of the input's elements, 1 where they stand side by side
 * @param align the numbers of steps that tiles may begin to compute at are multiples of this
 */
public record HaloRange(
    long size, long result, long window, long stride, long low, long dilation, long align) {
  /** The range of tiles that compute no step early. */
  public HaloRange(long size, long result, long window, long stride, long low, long dilation) {
    this(size, result, window, stride, low, dilation, 1);
  }

  /** The element that what a tile beginning at {@code start} of the result holds begins with. */
  public long first(long start) {
    return element(start - early(start));
  }

  /** How many steps a tile that begins at {@code start} computes before its own. */
  public long early(long start) {
    return start % align;
  }

  /** How many steps every device computes. */
  public long steps(Tiles tiles) {
    long early = 0;
    for (int tile = 0; tile < tiles.count(); tile++) {
      early = Math.max(early, early(tiles.start(tile)));
    }
    return tiles.room() + early;
  }

  /** The first element that the tile's own steps need. */
  public long needed(long start) {
    return element(start);
  }

  private long element(long step) {
    return Math.ceilDiv(stride * step - low, dilation);
  }

  /** One behind the last element that the tile needs; at least {@link #needed}. */
  public long limit(long start, long length) {
    return length <= 0 ? needed(start) : Math.max(needed(start), behind(start + length - 1));
  }

  private long behind(long step) {
    return Math.floorDiv(stride * step - low + window - 1, dilation) + 1;
  }

  /** How far a tile's first element stands behind the position where its first window begins. */
  public long phase(long start) {
    return dilation * first(start) - (stride * (start - early(start)) - low);
  }

  /** The most elements that the steps of any tile see. */
  public long width(Tiles tiles) {
    long width = 0;
    long steps = steps(tiles);
    for (int tile = 0; tile < tiles.count(); tile++) {
      long start = tiles.start(tile);
      long limit = Math.max(first(start), behind(start - early(start) + steps - 1));
      width = Math.max(width, limit - first(start));
    }
    return width;
  }
}
