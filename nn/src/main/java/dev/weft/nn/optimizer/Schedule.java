package dev.weft.nn.optimizer;

/**
 * The learning rate over the steps: it grows evenly during the warm-up, then falls along half a
 * cosine to a tenth of its peak.
 *
 * @param peak the largest rate
 * @param warmup steps of growth
 * @param steps of the whole training
 */
public record Schedule(double peak, int warmup, int steps) {
  private static final double FLOOR = 0.1;

  /** The rate of a step, counting from 1. */
  public double rate(long step) {
    if (step <= warmup) {
      return peak * step / warmup;
    }
    double progress = Math.min(1, (double) (step - warmup) / Math.max(1, steps - warmup));
    return peak * (FLOOR + (1 - FLOOR) * 0.5 * (1 + Math.cos(Math.PI * progress)));
  }
}
