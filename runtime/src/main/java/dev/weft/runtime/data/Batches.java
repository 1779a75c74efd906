package dev.weft.runtime.data;

import java.lang.foreign.MemorySegment;

/** What training steps see: a pure function of the step. Safe for many threads. */
public interface Batches {
  /** Equal parts of a step's batch. */
  int microBatches();

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
