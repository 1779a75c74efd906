package dev.weft.core.program;

/** When what the backward needs is made again. */
public enum RecomputeTiming {
  /** As soon as its turn in the order comes. */
  EARLY("early"),
  /**
   * When the cotangents of its micro-batch have arrived as well, as GPipe and 1F1B were published;
   * but for those that the schedule itself wants early.
   */
  INLINE("inline");

  private final String text;

  RecomputeTiming(String text) {
    this.text = text;
  }

  public String text() {
    return text;
  }
}
