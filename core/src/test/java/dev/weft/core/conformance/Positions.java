package dev.weft.core.conformance;

import dev.weft.core.graph.Strided;

/** Where elements lie. */
final class Positions {
  private Positions() {}

  /** The place in memory of the element with that number in row-major order. */
  static long of(Strided layout, long number) {
    long position = layout.offset();
    long rest = number;
    for (int dim = layout.shape().rank() - 1; dim >= 0; dim--) {
      position += rest % layout.shape().size(dim) * layout.strides()[dim];
      rest /= layout.shape().size(dim);
    }
    return position;
  }
}
