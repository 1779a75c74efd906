package dev.weft.engine.program;

import dev.weft.core.graph.Strided;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** A run of indices read or written from an index that is known when it runs. */
final class DynamicCopy {
  private DynamicCopy() {}

  /** Whether the run's dim and those behind it lie without gaps; those before it may have any. */
  static boolean takes(Operand part, int dim) {
    Strided layout = part.layout();
    int rank = layout.shape().rank();
    return new Strided(
            layout.shape().slice(dim, rank),
            Arrays.copyOfRange(layout.strides(), dim, rank),
            layout.offset())
        .isContiguous();
  }

  /**
   * The copy as a step.
   *
   * @param all the whole's memory, which has no gaps
   * @param piece the part's memory from its first element on
   * @param index where the index stands
   */
  static Step of(
      Command.Dynamic dynamic, MemorySegment all, MemorySegment piece, MemorySegment index) {
    Operand whole = dynamic.whole();
    int dim = dynamic.dim();
    long bytes = whole.dtype().bytes();
    long inner = whole.shape().product(dim + 1, whole.shape().rank()) * bytes;
    long size = whole.shape().size(dim);
    long run = dynamic.part().shape().size(dim);
    long[] places = places(dynamic.part().layout(), dim, bytes);
    boolean update = dynamic.update();
    return () -> {
      long start = Math.clamp(index.get(ValueLayout.JAVA_LONG, 0), 0L, size - run);
      for (int o = 0; o < places.length; o++) {
        long at = (o * size + start) * inner;
        if (update) {
          MemorySegment.copy(piece, places[o], all, at, run * inner);
        } else {
          MemorySegment.copy(all, at, piece, places[o], run * inner);
        }
      }
    };
  }

  /** Where the runs begin in the part, in bytes, one for each index of the dims before. */
  private static long[] places(Strided part, int dim, long bytes) {
    long[] places = new long[Math.toIntExact(part.shape().product(0, dim))];
    for (int o = 0; o < places.length; o++) {
      long rest = o;
      for (int d = dim - 1; d >= 0; d--) {
        places[o] += rest % part.shape().size(d) * part.strides()[d] * bytes;
        rest /= part.shape().size(d);
      }
    }
    return places;
  }
}
