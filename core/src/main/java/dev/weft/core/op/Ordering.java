package dev.weft.core.op;

import dev.weft.core.graph.Literal;
import java.util.Arrays;
import java.util.Comparator;

/**
 * The order of elements along a dim: equal ones by their index, zeros of either sign alike,
 * not-a-number above all numbers.
 */
final class Ordering {
  private Ordering() {}

  /**
   * Where in dense memory the elements stand that come first.
   *
   * @param count how many of each run to give
   * @return places, laid out as a tensor with {@code count} elements along the dim
   */
  static int[] places(Literal x, int dim, boolean descending, int count) {
    int size = (int) x.type().size(dim);
    int inner = (int) x.shape().product(dim + 1, x.type().rank());
    int runs = size == 0 ? 0 : x.elements() / size;
    int[] places = new int[runs * count];
    Comparator<Integer> ascending =
        x.type().dtype().isFloat()
            ? Comparator.comparingDouble((Integer i) -> x.doubles()[i] + 0.0)
            : Comparator.comparingLong((Integer i) -> x.longs()[i]);
    Comparator<Integer> order = descending ? ascending.reversed() : ascending;
    for (int run = 0; run < runs; run++) {
      int start = run / inner * size * inner + run % inner;
      Integer[] sorted = new Integer[size];
      Arrays.setAll(sorted, i -> start + i * inner);
      Arrays.sort(sorted, order);
      for (int i = 0; i < count; i++) {
        places[run / inner * count * inner + i * inner + run % inner] = sorted[i];
      }
    }
    return places;
  }

  /** The index along the dim of each place. */
  static long[] indices(Literal x, int dim, int[] places) {
    int size = (int) x.type().size(dim);
    int inner = (int) x.shape().product(dim + 1, x.type().rank());
    return Arrays.stream(places).mapToLong(place -> place / inner % size).toArray();
  }
}
