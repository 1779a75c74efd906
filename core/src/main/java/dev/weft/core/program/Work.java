package dev.weft.core.program;

/** What a fragment does for a micro-batch, or for a whole step. */
public enum Work {
  FORWARD("F"),
  /** Makes again what the backward needs and the forward did not keep. */
  RECOMPUTE("R"),
  /** All gradients at once. */
  BACKWARD("B"),
  /** The part of the backward that earlier pieces wait for. */
  INPUT_GRADIENT("I"),
  /** The rest of the backward: gradients of parameters only. */
  WEIGHT_GRADIENT("W"),
  /** Forward and backward of a model that is not cut, in one. */
  MICRO_BATCH("M"),
  /** Once per step: clears accumulators, folds gradients, updates. */
  STEP("S");

  private final String letter;

  Work(String letter) {
    this.letter = letter;
  }

  /** One letter, as in {@code F0}. */
  public String letter() {
    return letter;
  }
}
