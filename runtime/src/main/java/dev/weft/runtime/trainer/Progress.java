package dev.weft.runtime.trainer;

/** Hears how training goes. */
public interface Progress {
  /**
   * A logged step.
   *
   * @param unit what speed counts, a plural
   * @param secondsLeft an estimate
   */
  record Logged(
      long step,
      long steps,
      double loss,
      double learningRate,
      double gradientNorm,
      String unit,
      double unitsPerSecond,
      double flopsPerSecond,
      double shareOfPeak,
      long memoryBytes,
      double seconds,
      double secondsLeft) {}

  void logged(Logged step);

  /** Something worth a line of its own. */
  void message(String text);
}
