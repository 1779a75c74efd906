package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/**
 * Points of the plane on the arms of a spiral, with the arm of each: something to classify that no
 * straight line parts. Every point is a pure function of the seed and its number. Those held out
 * for measuring are others than those trained on.
 */
public final class SyntheticPoints implements Batches {
  /** Arms. */
  public static final int CLASSES = 3;

  /** Coordinates of a point. */
  public static final int WIDTH = 2;

  /** Points to measure on. */
  public static final int HELD_OUT = 1024;

  private static final double TURNS = 1.25;
  private static final double NOISE = 0.02;
  private static final long HELD_OUT_KEY = 0x9E3779B97F4A7C15L;

  private final int batch;
  private final int microBatches;
  private final long seed;

  /**
   * Points.
   *
   * @param batch points per step, over all micro-batches
   * @param microBatches parts of a step's points
   * @param seed two seeds give other points
   * @throws UserException if a number is below 1
   */
  public SyntheticPoints(int batch, int microBatches, long seed) {
    if (batch < 1 || microBatches < 1) {
      throw new UserException(
          "expected at least 1 for batch and micro-batches, found %d and %d"
              .formatted(batch, microBatches));
    }
    this.batch = batch;
    this.microBatches = microBatches;
    this.seed = seed;
  }

  @Override
  public int batch() {
    return batch;
  }

  @Override
  public int microBatches() {
    return microBatches;
  }

  @Override
  public long inputBytes() {
    return (long) microBatchRows() * WIDTH * Float.BYTES;
  }

  @Override
  public long targetBytes() {
    return (long) microBatchRows() * Long.BYTES;
  }

  /**
   * Writes one micro-batch.
   *
   * @param inputs f32[micro-batch rows, 2], dense, in the unit circle but for noise; zeros where a
   *     row is beyond the batch
   * @param targets i64[micro-batch rows], dense; the ignored target where a row is beyond the batch
   */
  @Override
  public void fill(long step, int microBatch, MemorySegment inputs, MemorySegment targets) {
    if (microBatch < 0 || microBatch >= microBatches) {
      throw new IndexOutOfBoundsException("micro-batch " + microBatch + " of " + microBatches);
    }
    int first = microBatch * microBatchRows();
    for (int row = 0; row < microBatchRows(); row++) {
      if (first + row < batch) {
        draw(KeyedPermutation.mix(seed, step * batch + first + row), row, inputs, targets);
      } else {
        write(row, 0, 0, IGNORED, inputs, targets);
      }
    }
  }

  /** Batches of as many rows as a micro-batch's that hold all held-out points. */
  public int heldOutBatches() {
    return Math.ceilDiv(HELD_OUT, microBatchRows());
  }

  /**
   * Writes held-out points, one micro-batch's rows of them.
   *
   * @param batch counted from 0
   * @param inputs as {@link #fill}'s; zeros where a row is too many
   * @param targets likewise; the ignored target where a row is too many
   * @param ignoredTarget the class that does not count
   */
  public void fillHeldOut(
      int batch, MemorySegment inputs, MemorySegment targets, long ignoredTarget) {
    for (int row = 0; row < microBatchRows(); row++) {
      int number = batch * microBatchRows() + row;
      if (number < HELD_OUT) {
        draw(KeyedPermutation.mix(seed ^ HELD_OUT_KEY, number), row, inputs, targets);
      } else {
        write(row, 0, 0, ignoredTarget, inputs, targets);
      }
    }
  }

  private static void draw(long key, int row, MemorySegment inputs, MemorySegment targets) {
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
