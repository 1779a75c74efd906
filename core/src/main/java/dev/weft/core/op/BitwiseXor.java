package dev.weft.core.op;

/** The bits that exactly one integer has. */
public record BitwiseXor() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(
          BitwiseXor.class,
          Example.of(new BitwiseXor(), Example.indices(99, 3, 4), Example.indices(99, 3, 4)));

  @Override
  public long apply(long a, long b) {
    return a ^ b;
  }

  @Override
  public boolean logical() {
    return false;
  }

  @Override
  public String call() {
    return "aten::bitwise_xor.Tensor_out(x0, x1, y0)";
  }
}
