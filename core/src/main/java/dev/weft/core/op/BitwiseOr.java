package dev.weft.core.op;

/** The bits that at least one integer has. */
public record BitwiseOr() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(
          BitwiseOr.class,
          Example.of(new BitwiseOr(), Example.indices(99, 3, 4), Example.indices(99, 3, 4)));

  @Override
  public long apply(long a, long b) {
    return a | b;
  }

  @Override
  public boolean logical() {
    return false;
  }

  @Override
  public String call() {
    return "aten::bitwise_or.Tensor_out(x0, x1, y0)";
  }
}
