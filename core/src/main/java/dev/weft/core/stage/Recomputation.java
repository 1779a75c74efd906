package dev.weft.core.stage;

/** How much of what a piece's backward needs is kept by its forward rather than made again. */
public sealed interface Recomputation {
  /** The forward keeps all. */
  record None() implements Recomputation {}

  /** The forward keeps nothing but the piece's inputs. */
  record Full() implements Recomputation {}

  /**
   * The forward keeps at most a share of the bytes.
   *
   * @param kept from 0 to 1
   */
  record Fraction(double kept) implements Recomputation {}

  /**
   * The forward keeps at most so many bytes per micro-batch and device, beside the piece's inputs.
   */
  record Budget(long bytes) implements Recomputation {}

  /**
   * Merak's stage-aware rule (Lai et al., section 4.3): a stage keeps the more the fewer
   * micro-batches are alive there; the last one keeps all.
   *
   * @param first the share that the first stage makes again
   */
  static Recomputation stageAware(double first, int stage, int stages) {
    if (stage == stages - 1) {
      return new None();
    }
    double kept = (1 - first) * (stages - 1) / (stages - 1 - stage);
    return kept >= 1 ? new None() : new Fraction(kept);
  }
}
