package dev.weft.core.op;

/** Whether each element of the first operand is at least that of the second. */
public record GreaterEqual() implements Comparison {
  static final OpEntry ENTRY =
      OpEntry.of(
          GreaterEqual.class,
          Example.of(new GreaterEqual(), Example.f32(3, 4), Example.f32(3, 4)),
          Example.of(new GreaterEqual(), Example.indices(3, 3, 4), Example.indices(3, 3, 4)));

  @Override
  public boolean holds(double a, double b) {
    return a >= b;
  }

  @Override
  public boolean holds(long a, long b) {
    return a >= b;
  }

  @Override
  public String symbol() {
    return "ge";
  }
}
