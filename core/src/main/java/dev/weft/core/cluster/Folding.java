package dev.weft.core.cluster;

/** How parts that stand for one tensor fold into it, element by element. */
public enum Folding {
  SUM,
  MAX,
  MIN;

  /** The element that leaves any other as it is. */
  public double identity() {
    return switch (this) {
      case SUM -> 0;
      case MAX -> Double.NEGATIVE_INFINITY;
      case MIN -> Double.POSITIVE_INFINITY;
    };
  }

  /** Two elements folded. */
  public double apply(double a, double b) {
    return switch (this) {
      case SUM -> a + b;
      case MAX -> Double.isNaN(a) || Double.isNaN(b) ? Double.NaN : Math.max(a, b);
      case MIN -> Double.isNaN(a) || Double.isNaN(b) ? Double.NaN : Math.min(a, b);
    };
  }

  /** Two elements folded. */
  public long apply(long a, long b) {
    return switch (this) {
      case SUM -> a + b;
      case MAX -> Math.max(a, b);
      case MIN -> Math.min(a, b);
    };
  }

  @Override
  public String toString() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }
}
