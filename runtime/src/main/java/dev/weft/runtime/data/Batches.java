package dev.weft.runtime.data;

import dev.weft.nn.model.TokenModel;
import java.lang.foreign.MemorySegment;

/** What training steps see: a pure function of the step. Safe for many threads. */
public interface Batches {
  /** The target of what does not count. */
  long IGNORED = TokenModel.IGNORED;

  /** Parts of a step's batch, of {@link #microBatchRows} each; see there. */
  int microBatches();

  /** Rows of a step's batch. */
  int batch();

  /**
   * Rows of each micro-batch. Where micro-batches do not divide the batch they have together more
   * rows than it has: those beyond it, the last ones, are zeros whose targets are {@link #IGNORED}.
   */
  default int microBatchRows() {
    return Math.ceilDiv(batch(), microBatches());
  }

  /** Bytes of a micro-batch's inputs. */
  long inputBytes();

  /** Bytes of a micro-batch's targets. */
  long targetBytes();

  /**
   * Writes one micro-batch.
   *
   * @param step counted from 0
   * @param microBatch counted from 0
   */
  void fill(long step, int microBatch, MemorySegment inputs, MemorySegment targets);
}
