package dev.weft.core.trace;

/** What a parameter holds before the first step. */
public sealed interface Initializer {
  /** Normally distributed around zero. */
  record Normal(double deviation) implements Initializer {}

  /** Evenly distributed. */
  record Uniform(double low, double high) implements Initializer {}

  /** One number everywhere. */
  record Constant(double number) implements Initializer {}

  static Initializer normal(double deviation) {
    return new Normal(deviation);
  }

  static Initializer uniform(double low, double high) {
    return new Uniform(low, high);
  }

  static Initializer zeros() {
    return new Constant(0);
  }

  static Initializer ones() {
    return new Constant(1);
  }
}
