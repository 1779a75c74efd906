package dev.weft.core.op;

/** Whether at least one operand is true. */
public record LogicalOr() implements BitOp {
  static final OpEntry ENTRY =
      OpEntry.of(
          LogicalOr.class, Example.of(new LogicalOr(), Example.bool(3, 4), Example.bool(3, 4)));

  @Override
  public long apply(long a, long b) {
    return a | b;
  }

  @Override
  public boolean logical() {
    return true;
  }

  @Override
  public String call() {
    return "aten::logical_or.out(x0, x1, y0)";
  }
}
