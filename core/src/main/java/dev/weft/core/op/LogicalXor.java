package dev.weft.core.op;

/** Whether exactly one operand is true. */
public record LogicalXor() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(
          LogicalXor.class, Example.of(new LogicalXor(), Example.bool(3, 4), Example.bool(3, 4)));

  @Override
  public long apply(long a, long b) {
    return a ^ b;
  }

  @Override
  public boolean logical() {
    return true;
  }

  @Override
  public String call() {
    return "aten::logical_xor.out(x0, x1, y0)";
  }
}
