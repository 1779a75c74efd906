package dev.weft.core.op;

/** Whether the operand is false. */
public record LogicalNot() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(LogicalNot.class, Example.of(new LogicalNot(), Example.bool(3, 4)));

  @Override
  public int operands() {
    return 1;
  }

  @Override
  public long apply(long a, long b) {
    return 1 - a;
  }

  @Override
  public boolean logical() {
    return true;
  }

  @Override
  public String call() {
    return "aten::logical_not.out(x0, y0)";
  }
}
