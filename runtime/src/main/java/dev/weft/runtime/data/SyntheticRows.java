package dev.weft.runtime.data;

import java.lang.foreign.MemorySegment;

/**
 * Rows that need no download: every row is a pure function of the seed and its number. Those held
 * out for measuring are others than those trained on.
 */
abstract sealed class SyntheticRows implements Batches permits SyntheticImages, SyntheticPoints {
  private static final long HELD_OUT_KEY = 0x9E3779B97F4A7C15L;

  private final int batch;
  private final int microBatches;
  private final long seed;
  private final int heldOut;

  /**
   * Rows.
   *
   * @param batch rows per step, over all micro-batches
   * @param microBatches parts of a step's rows
   * @param seed two seeds give other rows
   * @param heldOut how many rows to measure on
   */
  SyntheticRows(int batch, int microBatches, long seed, int heldOut) {
    this.batch = batch;
    this.microBatches = microBatches;
    this.seed = seed;
    this.heldOut = heldOut;
  }

  @Override
  public final int batch() {
    return batch;
  }

  @Override
  public final int microBatches() {
    return microBatches;
  }

  /** Writes the row of a key as one of a micro-batch's. */
  abstract void draw(long key, int row, MemorySegment inputs, MemorySegment targets);

  /** Writes zeros and ignored targets as one of a micro-batch's rows. */
  abstract void leaveOut(int row, MemorySegment inputs, MemorySegment targets);

  @Override
  public final void fill(long step, int microBatch, MemorySegment inputs, MemorySegment targets) {
    if (microBatch < 0 || microBatch >= microBatches) {
      throw new IndexOutOfBoundsException("micro-batch " + microBatch + " of " + microBatches);
    }
    int first = microBatch * microBatchRows();
    for (int row = 0; row < microBatchRows(); row++) {
      if (first + row < batch) {
        draw(KeyedPermutation.mix(seed, step * batch + first + row), row, inputs, targets);
      } else {
        leaveOut(row, inputs, targets);
      }
    }
  }

  /** Batches of as many rows as a micro-batch's that hold all held-out rows. */
  public final int heldOutBatches() {
    return Math.ceilDiv(heldOut, microBatchRows());
  }

  /**
   * Writes held-out rows, as many as a micro-batch has; zeros and ignored targets where there are
   * no more.
   *
   * @param number of the batch, counted from 0
   * @param inputs as {@link #fill}'s
   * @param targets likewise
   */
  public final void fillHeldOut(int number, MemorySegment inputs, MemorySegment targets) {
    for (int row = 0; row < microBatchRows(); row++) {
      int at = number * microBatchRows() + row;
      if (at < heldOut) {
        draw(KeyedPermutation.mix(seed ^ HELD_OUT_KEY, at), row, inputs, targets);
      } else {
        leaveOut(row, inputs, targets);
      }
    }
  }
}
