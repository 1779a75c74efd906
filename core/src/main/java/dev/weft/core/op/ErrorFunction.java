package dev.weft.core.op;

/** The error function in double precision. */
final class ErrorFunction {
  /** Below this the power series converges quickly, above it the continued fraction. */
  private static final double SPLIT = 2.5;

  private ErrorFunction() {}

  /**
   * erf(x) = 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x (Abramowitz and Stegun, 7.1.6
   * and 7.1.14).
   */
  static double erf(double x) {
    if (Double.isNaN(x)) {
      return x;
    }
    double size = Math.abs(x);
    if (size > 6) {
      return Math.signum(x);
    }
    return size < SPLIT ? series(x) : Math.signum(x) * (1 - complement(size));
  }

  private static double series(double x) {
    double term = x;
    double sum = x;
    for (int n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }

  private static double complement(double x) {
    double fraction = x;
    for (int k = 120; k >= 1; k--) {
      fraction = x + (k / 2.0) / fraction;
    }
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
  }
}
