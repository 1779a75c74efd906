package dev.weft.core.op;

/** The bits that both integers have. */
public record BitwiseAnd() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(
          BitwiseAnd.class,
          Example.of(new BitwiseAnd(), Example.indices(99, 3, 4), Example.indices(99, 3, 4)));

  @Override
  public long apply(long a, long b) {
    return a & b;
  }

  @Override
  public boolean logical() {
    return false;
  }

  @Override
  public String call() {
    return "aten::bitwise_and.Tensor_out(x0, x1, y0)";
  }
}
