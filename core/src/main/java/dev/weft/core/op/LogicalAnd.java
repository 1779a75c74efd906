package dev.weft.core.op;

/** Whether both operands are true. */
public record LogicalAnd() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(
          LogicalAnd.class, Example.of(new LogicalAnd(), Example.bool(3, 4), Example.bool(3, 4)));

  @Override
  public long apply(long a, long b) {
    return a & b;
  }

  @Override
  public boolean logical() {
    return true;
  }

  @Override
  public String call() {
    return "aten::logical_and.out(x0, x1, y0)";
  }
}
