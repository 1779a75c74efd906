package dev.weft.core.op;

/** The bits that the integer has not. */
public record BitwiseNot() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(BitwiseNot.class, Example.of(new BitwiseNot(), Example.indices(99, 3, 4)));

  @Override
  public int operands() {
    return 1;
  }

  @Override
  public long apply(long a, long b) {
    return ~a;
  }

  @Override
  public boolean logical() {
    return false;
  }

  @Override
  public String call() {
    return "aten::bitwise_not.out(x0, y0)";
  }
}
