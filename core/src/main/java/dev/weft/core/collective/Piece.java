package dev.weft.core.collective;

import java.util.Arrays;

/**
 * A box of elements that one member of a group hands to another, or keeps.
 *
 * @param from the member that has it, by its number in the group
 * @param source where the box starts in its tensor, per dim
 * @param to the member that gets it
 * @param target where the box starts in the result
 * @param sizes of the box, per dim
 */
public record Piece(int from, long[] source, int to, long[] target, long[] sizes) {
  public long elements() {
    long elements = 1;
    for (long size : sizes) {
      elements *= size;
    }
    return elements;
  }

  /** Whether the box goes to another member. */
  public boolean moves() {
    return from != to;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Piece that
        && from == that.from
        && to == that.to
        && Arrays.equals(source, that.source)
        && Arrays.equals(target, that.target)
        && Arrays.equals(sizes, that.sizes);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * from + to) + Arrays.hashCode(target);
  }

  @Override
  public String toString() {
    return from
        + Arrays.toString(source)
        + " to "
        + to
        + Arrays.toString(target)
        + " "
        + Arrays.toString(sizes);
  }
}
