package dev.weft.core.op;

/** The first integer shifted left by as many bits as the second says. */
public record ShiftLeft() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(
          ShiftLeft.class,
          Example.of(new ShiftLeft(), Example.indices(99, 3, 4), Example.indices(9, 3, 4)));

  @Override
  public long apply(long a, long b) {
    return a << b;
  }

  @Override
  public boolean logical() {
    return false;
  }

  @Override
  public String call() {
    return "aten::bitwise_left_shift.Tensor_out(x0, x1, y0)";
  }
}
