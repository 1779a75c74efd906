package dev.weft.engine.program;

import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Strided;

/** Looks into a literal through a layout. */
final class Views {
  private Views() {}

  /** The elements that the layout shows, dense. */
  static Literal pick(Literal all, Strided layout) {
    int n = Math.toIntExact(layout.shape().elements());
    double[] doubles = all.type().dtype().isFloat() ? new double[n] : new double[0];
    long[] longs = all.type().dtype().isFloat() ? new long[0] : new long[n];
    long[] index = new long[layout.shape().rank()];
    long position = layout.offset();
    for (int i = 0; i < n; i++) {
      if (all.type().dtype().isFloat()) {
        doubles[i] = all.doubles()[(int) position];
      } else {
        longs[i] = all.longs()[(int) position];
      }
      for (int dim = index.length - 1; dim >= 0; dim--) {
        position += layout.strides()[dim];
        if (++index[dim] < layout.shape().size(dim)) {
          break;
        }
        position -= layout.strides()[dim] * index[dim];
        index[dim] = 0;
      }
    }
    return all.type().dtype().isFloat()
        ? Literal.of(all.type().with(layout.shape()), doubles)
        : Literal.of(all.type().with(layout.shape()), longs);
  }
}
