package dev.weft.engine.program;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;

/** A tensor in a buffer; offset and strides of the layout are in elements from its beginning. */
record Operand(Buffer buffer, DataType dtype, Strided layout) {
  static Operand dense(Buffer buffer, DataType dtype, Shape shape) {
    return new Operand(buffer, dtype, Strided.dense(shape));
  }

  Operand with(Strided other) {
    return new Operand(buffer, dtype, other);
  }

  Shape shape() {
    return layout.shape();
  }

  /** Bytes from the buffer's beginning to the first element. */
  long offset() {
    return layout.offset() * dtype.bytes();
  }

  /** Bytes from the first element to behind the last; strides are not negative. */
  long extent() {
    long last = 0;
    for (int dim = 0; dim < shape().rank(); dim++) {
      last += layout.strides()[dim] * (shape().size(dim) - 1);
    }
    return (last + 1) * dtype.bytes();
  }

  /** Whether both are the same elements in the same places. */
  boolean same(Operand other) {
    return buffer == other.buffer && dtype == other.dtype && layout.isSame(other.layout);
  }
}
