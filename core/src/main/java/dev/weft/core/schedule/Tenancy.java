package dev.weft.core.schedule;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.PieceGraphs.Held;
import java.util.Arrays;

/** A tensor of a stage and when each micro-batch's is in memory, by each of two timetables. */
final class Tenancy {
  static final int TIMETABLES = 2;

  private final Buffer buffer;
  private final double[][] starts;
  private final double[][] ends;
  private String from = "";
  private String to = "";

  /**
   * The times of all micro-batches: tensors with equal ones lie in one pool.
   *
   * @param starts by timetable, then micro-batch
   */
  record Times(double[][] starts, double[][] ends) {
    @Override
    public boolean equals(Object other) {
      return other instanceof Times times
          && Arrays.deepEquals(starts, times.starts)
          && Arrays.deepEquals(ends, times.ends);
    }

    @Override
    public int hashCode() {
      return 31 * Arrays.deepHashCode(starts) + Arrays.deepHashCode(ends);
    }
  }

  /**
   * A tensor that is not used yet.
   *
   * @param kind DATA and FACT for what is filled from outside
   */
  Tenancy(String name, Held held, TensorType local, Graph.Kind kind, int microBatches) {
    this.buffer = new Buffer(name, held.type(), held.layout(), local, kind, -1);
    starts = new double[TIMETABLES][microBatches];
    ends = new double[TIMETABLES][microBatches];
    for (double[] some : starts) {
      Arrays.fill(some, Double.POSITIVE_INFINITY);
    }
  }

  Buffer in(int pool) {
    return new Buffer(
        buffer.name(), buffer.type(), buffer.layout(), buffer.local(), buffer.kind(), pool);
  }

  /** From a time on, by a timetable, the tensor is there; {@code event} says what makes it. */
  void start(int timetable, int microBatch, double time, String event) {
    if (time < starts[timetable][microBatch]) {
      starts[timetable][microBatch] = time;
      from = timetable == 0 ? event : from;
    }
  }

  /** Until a time, by a timetable, the tensor is needed. */
  void end(int timetable, int microBatch, double time, String event) {
    if (time > ends[timetable][microBatch]) {
      ends[timetable][microBatch] = time;
      to = timetable == 0 ? event : to;
    }
  }

  Times times() {
    return new Times(starts, ends);
  }

  /** {@code F..B}. */
  String lifetime() {
    return from + ".." + to;
  }
}
