package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Tokens cut into windows that do not overlap, in batches of a fixed number of rows. Window {@code
 * w} has the tokens from {@code w * sequence} on as inputs and, for each, the token after it as
 * target; what is left over at the end is dropped. Rows that the last batch has too many are filled
 * with targets that a loss ignores.
 */
public final class EvaluationWindows {
  private final Tokens tokens;
  private final int sequence;
  private final int rows;
  private final long ignoredTarget;
  private final long fitting;
  private final long windows;

  private EvaluationWindows(
      Tokens tokens, int sequence, int rows, long ignoredTarget, long fitting, long windows) {
    this.tokens = tokens;
    this.sequence = sequence;
    this.rows = rows;
    this.ignoredTarget = ignoredTarget;
    this.fitting = fitting;
    this.windows = windows;
  }

  /**
   * All windows that fit.
   *
   * @param name what messages call the text
   * @param sequence inputs per row
   * @param rows rows per batch
   * @param ignoredTarget the target that a loss ignores
   * @throws UserException if the tokens are too few for one window
   */
  public static EvaluationWindows of(
      String name, Tokens tokens, int sequence, int rows, long ignoredTarget) {
    long fitting = (tokens.count() - 1) / sequence;
    if (fitting < 1) {
      throw new UserException(
          "%s has %d tokens, but one window of sequence %d needs %d: use a longer text or a shorter sequence"
              .formatted(name, tokens.count(), sequence, sequence + 1L));
    }
    return new EvaluationWindows(tokens, sequence, rows, ignoredTarget, fitting, fitting);
  }

  /** At most this many of the windows, evenly spread over the tokens: for a quick look. */
  public EvaluationWindows atMost(long limit) {
    return new EvaluationWindows(
        tokens, sequence, rows, ignoredTarget, fitting, Math.clamp(limit, 1, windows));
  }

  public long windows() {
    return windows;
  }

  /** Targets that count, over all windows. */
  public long tokens() {
    return windows * sequence;
  }

  /** Batches that hold all windows. */
  public long batches() {
    return Math.ceilDiv(windows, rows);
  }

  /**
   * Writes one batch.
   *
   * @param batch counted from 0
   * @param inputs i64[rows, sequence], dense; zero where a row is too many
   * @param targets i64[rows, sequence], dense; the ignored target where a row is too many
   * @return how many of the targets count
   */
  public long fill(long batch, MemorySegment inputs, MemorySegment targets) {
    if (batch < 0 || batch >= batches()) {
      throw new IndexOutOfBoundsException("batch " + batch + " of " + batches());
    }
    long first = batch * rows;
    int filled = (int) Math.min(rows, windows - first);
    for (int row = 0; row < filled; row++) {
      // Exact where all windows are used, evenly spread where only some are.
      long window = Math.multiplyExact(first + row, fitting) / windows;
      tokens.copyTo(window * sequence, sequence, inputs, (long) row * sequence);
      tokens.copyTo(window * sequence + 1, sequence, targets, (long) row * sequence);
    }
    for (long element = (long) filled * sequence; element < (long) rows * sequence; element++) {
      inputs.setAtIndex(ValueLayout.JAVA_LONG, element, 0);
      targets.setAtIndex(ValueLayout.JAVA_LONG, element, ignoredTarget);
    }
    return (long) filled * sequence;
  }

  /** {@link #fill(long, MemorySegment, MemorySegment)} into arrays of row-major numbers. */
  public long fill(long batch, long[] inputs, long[] targets) {
    return fill(batch, MemorySegment.ofArray(inputs), MemorySegment.ofArray(targets));
  }
}
