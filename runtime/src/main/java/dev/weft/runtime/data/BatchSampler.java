package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Which tokens a training step sees: a pure function of the seed and the step, whatever the plan,
 * the number of micro-batches or where the run was interrupted. The step alone says where the data
 * stand.
 *
 * <p>In every epoch the tokens are cut, from a random offset on, into windows that start {@code
 * sequence} tokens apart. Every window is {@code sequence + 1} tokens long: its inputs are all but
 * the last, its targets all but the first. Windows are taken in an order shuffled anew for every
 * epoch. All epochs have equally many windows; the offset reaches far enough for every token to
 * have its turn.
 *
 * <p>Rows are numbered on through steps and epochs: row {@code r} of step {@code s} is the {@code
 * (s * batch + r)}-th. Safe for many threads.
 */
public final class BatchSampler implements Batches {
  private final Tokens tokens;
  private final int sequence;
  private final int batch;
  private final int microBatches;
  private final long seed;
  private final long windows;
  private final long largestOffset;

  /** An order is kept until another epoch's is asked for; it is only a few keys. */
  private volatile Epoch current;

  private record Epoch(long number, long offset, KeyedPermutation order) {}

  /**
   * A sampler of windows over the given tokens.
   *
   * @param sequence inputs per row
   * @param batch rows per step, over all micro-batches
   * @param microBatches parts of a step's rows
   * @param seed two seeds give two orders
   * @throws UserException if the tokens are too few for one window, or a number is below 1
   */
  public BatchSampler(Tokens tokens, int sequence, int batch, int microBatches, long seed) {
    if (sequence < 1 || batch < 1 || microBatches < 1) {
      throw new UserException(
          "expected at least 1 for each of sequence, batch and micro-batches, found %d, %d and %d"
              .formatted(sequence, batch, microBatches));
    }
    if (tokens.count() <= sequence) {
      throw new UserException(
          "the training text has %d tokens, but one window of sequence %d needs %d: train on a longer text or choose a shorter sequence"
              .formatted(tokens.count(), sequence, sequence + 1L));
    }
    this.tokens = tokens;
    this.sequence = sequence;
    this.batch = batch;
    this.microBatches = microBatches;
    this.seed = seed;
    // One window less than would fit leaves room to move all of them by up to a whole window.
    this.windows = Math.max(1, tokens.count() / sequence - 1);
    this.largestOffset = tokens.count() - 1 - windows * sequence;
    this.current = epoch(0);
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
    return (long) microBatchRows() * sequence * Long.BYTES;
  }

  @Override
  public long targetBytes() {
    return inputBytes();
  }

  /** Inputs per row. */
  public int sequence() {
    return sequence;
  }

  /** Windows that make up one epoch. */
  public long windowsPerEpoch() {
    return windows;
  }

  /**
   * Writes one micro-batch.
   *
   * @param step counted from 0
   * @param microBatch counted from 0
   * @param inputs i64[micro-batch rows, sequence], dense; zeros where a row is beyond the batch
   * @param targets i64[micro-batch rows, sequence], dense: at every place the token after the
   *     input; the ignored target where a row is beyond the batch
   */
  @Override
  public void fill(long step, int microBatch, MemorySegment inputs, MemorySegment targets) {
    if (microBatch < 0 || microBatch >= microBatches) {
      throw new IndexOutOfBoundsException("micro-batch " + microBatch + " of " + microBatches);
    }
    int rows = microBatchRows();
    int first = microBatch * rows;
    int filled = Math.clamp(batch - first, 0, rows);
    for (int row = 0; row < filled; row++) {
      long start = windowStart(step, first + row);
      tokens.copyTo(start, sequence, inputs, (long) row * sequence);
      tokens.copyTo(start + 1, sequence, targets, (long) row * sequence);
    }
    for (long at = (long) filled * sequence; at < (long) rows * sequence; at++) {
      inputs.setAtIndex(ValueLayout.JAVA_LONG, at, 0);
      targets.setAtIndex(ValueLayout.JAVA_LONG, at, IGNORED);
    }
  }

  /** {@link #fill(long, int, MemorySegment, MemorySegment)} into arrays of row-major numbers. */
  public void fill(long step, int microBatch, long[] inputs, long[] targets) {
    fill(step, microBatch, MemorySegment.ofArray(inputs), MemorySegment.ofArray(targets));
  }

  /** The index of the first token of a row's window. */
  long windowStart(long step, int row) {
    long place = Math.addExact(Math.multiplyExact(step, (long) batch), (long) row);
    Epoch epoch = current;
    if (epoch.number() != place / windows) {
      epoch = epoch(place / windows);
      current = epoch;
    }
    return epoch.offset() + epoch.order().at(place % windows) * sequence;
  }

  private Epoch epoch(long number) {
    long key = KeyedPermutation.mix(seed, number);
    long offset = Long.remainderUnsigned(KeyedPermutation.mix(key, -1), largestOffset + 1);
    return new Epoch(number, offset, new KeyedPermutation(windows, key));
  }
}
