package dev.weft.core.overlap;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.op.SelfSplitting;
import dev.weft.core.op.Tensor;

/**
 * A half of a factor of what is made by its place.
 *
 * @param from where it begins
 * @param to one behind its last element
 */
record HalfPart(Builder builder, String factor, long size, long from, long to, int half)
    implements SelfSplitting.Part {
  @Override
  public long room() {
    return to - from;
  }

  @Override
  public int count() {
    return 2;
  }

  @Override
  public Tensor start() {
    return Tensor.constant(builder, DataType.I64, from);
  }

  @Override
  public Tensor end() {
    return Tensor.constant(builder, DataType.I64, to);
  }

  /** Halves are as long as they are. */
  @Override
  public Tensor masked(Tensor tile, int dim, double fill) {
    return tile;
  }

  @Override
  public Tensor gathered(Tensor part, int dim) {
    throw new UnsupportedOperationException("what is made by its place needs no other half");
  }

  @Override
  public Tensor number() {
    return Tensor.constant(builder, DataType.I64, half);
  }
}
