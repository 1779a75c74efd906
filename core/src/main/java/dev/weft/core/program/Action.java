package dev.weft.core.program;

/**
 * Something that a stage computes for a micro-batch. Text: {@code F0}, or {@code F0.1} for chunk 1
 * where a stage has several.
 *
 * @param chunk which of the stage's pieces; 0 where it has only one
 */
public record Action(Work work, int microBatch, int chunk) {
  public static Action of(Work work, int microBatch) {
    return new Action(work, microBatch, 0);
  }

  /** The text where stages have one piece each. */
  @Override
  public String toString() {
    return work.letter() + microBatch + (chunk == 0 ? "" : "." + chunk);
  }
}
