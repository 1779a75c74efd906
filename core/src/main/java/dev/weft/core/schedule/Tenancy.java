package dev.weft.core.schedule;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.PieceGraphs.Held;
import java.util.Arrays;
import java.util.List;

/** A tensor of a stage and when each micro-batch's is in memory. */
final class Tenancy {
  private final Buffer buffer;
  private final double[] starts;
  private final double[] ends;
  private String from = "";
  private String to = "";

  /** The times of all micro-batches: tensors with equal ones lie in one pool. */
  record Times(List<Double> starts, List<Double> ends) {}

  /**
   * A tensor that is not used yet.
   *
   * @param kind DATA and FACT for what is filled from outside
   */
  Tenancy(String name, Held held, TensorType local, Graph.Kind kind, int microBatches) {
    this.buffer = new Buffer(name, held.type(), held.layout(), local, kind, -1);
    starts = new double[microBatches];
    ends = new double[microBatches];
    Arrays.fill(starts, Double.POSITIVE_INFINITY);
  }

  Buffer in(int pool) {
    return new Buffer(
        buffer.name(), buffer.type(), buffer.layout(), buffer.local(), buffer.kind(), pool);
  }

  /** From a time on the tensor is there; {@code event} says what makes it. */
  void start(int microBatch, double time, String event) {
    if (time < starts[microBatch]) {
      starts[microBatch] = time;
      from = event;
    }
  }

  /** Until a time the tensor is needed. */
  void end(int microBatch, double time, String event) {
    if (time > ends[microBatch]) {
      ends[microBatch] = time;
      to = event;
    }
  }

  Times times() {
    return new Times(Arrays.stream(starts).boxed().toList(), Arrays.stream(ends).boxed().toList());
  }

  /** {@code F..B}. */
  String lifetime() {
    return from + ".." + to;
  }
}
