package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/**
 * Points of the plane on the arms of a spiral, with the arm of each: something to classify that no
 * straight line parts. Inputs are f32[rows, 2], in the unit circle but for noise, targets
 * i64[rows].
 */
public final class SyntheticPoints extends SyntheticRows {
  /** Arms. */
  public static final int CLASSES = 3;

  /** Coordinates of a point. */
  public static final int WIDTH = 2;

  /** Points to measure on. */
  public static final int HELD_OUT = 1024;

  private static final double TURNS = 1.25;
  private static final double NOISE = 0.02;

  /**
   * Points.
   *
   * @param batch points per step, over all micro-batches
   * @param microBatches parts of a step's points
   * @param seed two seeds give other points
   * @throws UserException if a number is below 1
   */
  public SyntheticPoints(int batch, int microBatches, long seed) {
    super(batch, microBatches, seed, HELD_OUT);
    if (batch < 1 || microBatches < 1) {
      throw new UserException(
          "expected at least 1 for batch and micro-batches, found %d and %d"
              .formatted(batch, microBatches));
    }
  }

  @Override
  public long inputBytes() {
    return (long) microBatchRows() * WIDTH * Float.BYTES;
  }

  @Override
  public long targetBytes() {
    return (long) microBatchRows() * Long.BYTES;
  }

  @Override
  void leaveOut(int row, MemorySegment inputs, MemorySegment targets) {
    write(row, 0, 0, IGNORED, inputs, targets);
  }

  @Override
  void draw(long key, int row, MemorySegment inputs, MemorySegment targets) {
    var random = new SplittableRandom(key);
    int arm = random.nextInt(CLASSES);
    double radius = 0.1 + 0.9 * random.nextDouble();
    double angle = 2 * Math.PI * (TURNS * radius + (double) arm / CLASSES);
    double x = radius * Math.cos(angle) + NOISE * random.nextGaussian();
    double y = radius * Math.sin(angle) + NOISE * random.nextGaussian();
    write(row, x, y, arm, inputs, targets);
  }

  private static void write(
      int row, double x, double y, long label, MemorySegment inputs, MemorySegment targets) {
    inputs.setAtIndex(ValueLayout.JAVA_FLOAT, (long) WIDTH * row, (float) x);
    inputs.setAtIndex(ValueLayout.JAVA_FLOAT, (long) WIDTH * row + 1, (float) y);
    targets.setAtIndex(ValueLayout.JAVA_LONG, row, label);
  }
}
