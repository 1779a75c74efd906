package dev.weft.core.interpret;

import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.Arrays;

/** Slices of one type, put together along a new first dim. */
final class Stack {
  private final Literal whole;
  private final int slice;

  Stack(TensorType type, int count) {
    whole = Literal.filled(type.with(type.shape().insert(0, count)), 0);
    slice = Math.toIntExact(type.elements());
  }

  void set(int index, Literal literal) {
    if (whole.type().dtype().isFloat()) {
      System.arraycopy(literal.doubles(), 0, whole.doubles(), index * slice, slice);
    } else {
      System.arraycopy(literal.longs(), 0, whole.longs(), index * slice, slice);
    }
  }

  Literal literal() {
    return whole;
  }

  /** One slice of a stacked tensor. */
  static Literal slice(Literal stacked, int index) {
    TensorType type = stacked.type().with(stacked.shape().without(0));
    int size = Math.toIntExact(type.elements());
    int from = index * size;
    return type.dtype().isFloat()
        ? Literal.of(type, Arrays.copyOfRange(stacked.doubles(), from, from + size))
        : Literal.of(type, Arrays.copyOfRange(stacked.longs(), from, from + size));
  }
}
