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

  /** Whether both are the same elements in the same places. */
  boolean same(Operand other) {
    return buffer == other.buffer && dtype == other.dtype && layout.isSame(other.layout);
  }
}
