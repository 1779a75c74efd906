package dev.weft.core.op;

import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Strided;
import java.util.function.IntUnaryOperator;

/** Makes a literal by picking elements of another. */
final class Gathering {
  private Gathering() {}

  /** The elements that a view of the literal's dense memory shows. */
  static Literal strided(Literal x, Strided view) {
    int n = Math.toIntExact(view.shape().elements());
    int[] from = new int[n];
    int rank = view.shape().rank();
    long[] index = new long[rank];
    long position = view.offset();
    for (int i = 0; i < n; i++) {
      from[i] = Math.toIntExact(position);
      for (int dim = rank - 1; dim >= 0; dim--) {
        position += view.strides()[dim];
        if (++index[dim] < view.shape().size(dim)) {
          break;
        }
        position -= view.strides()[dim] * index[dim];
        index[dim] = 0;
      }
    }
    return pick(x, view.shape(), i -> from[i]);
  }

  /** Element i of the result is element {@code from(i)} of {@code x}. */
  static Literal pick(Literal x, dev.weft.core.graph.Shape shape, IntUnaryOperator from) {
    int n = Math.toIntExact(shape.elements());
    if (x.type().dtype().isFloat()) {
      double[] source = x.doubles();
      double[] picked = new double[n];
      for (int i = 0; i < n; i++) {
        picked[i] = source[from.applyAsInt(i)];
      }
      return Literal.of(x.type().with(shape), picked);
    }
    long[] source = x.longs();
    long[] picked = new long[n];
    for (int i = 0; i < n; i++) {
      picked[i] = source[from.applyAsInt(i)];
    }
    return Literal.of(x.type().with(shape), picked);
  }
}
