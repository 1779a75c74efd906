package dev.weft.core.program;

/** When what the backward needs is made again. */
public enum RecomputeTiming {
  /** As soon as its turn in the order comes. */
  EARLY("early"),
  /** When the cotangents of its micro-batch have arrived as well (as published for GPipe). */
  INLINE("inline");

  private final String text;

  RecomputeTiming(String text) {
    this.text = text;
  }

  public String text() {
    return text;
  }
}
