package dev.weft.runtime.collective;

import dev.weft.core.graph.Shape;
import java.util.ArrayList;

/**
 * A box of elements in two dense tensors, as runs of bytes that are as long as both allow. The
 * bytes of the box are numbered row-major, so that it can be cut anywhere.
 *
 * @param from where it begins in the one tensor, in bytes
 * @param to where it begins in the other
 * @param run bytes that lie side by side in both
 * @param sizes of the dims around the runs, outermost first
 * @param fromSteps the distance of neighbours along each of these dims, in bytes
 * @param toSteps the same in the other tensor
 */
public record Box(long from, long to, long run, long[] sizes, long[] fromSteps, long[] toSteps) {
  /** Is told the runs of a box. */
  @FunctionalInterface
  public interface Action {
    void run(long from, long to, long bytes);
  }

  /**
   * A box.
   *
   * @param source where it starts in the one tensor, per dim
   * @param target where it starts in the other
   * @param sizes of the box, per dim
   * @param bytes of an element
   */
  public static Box of(
      Shape fromShape, long[] source, Shape toShape, long[] target, long[] sizes, int bytes) {
    long[] fromStrides = fromShape.strides();
    long[] toStrides = toShape.strides();
    long from = 0;
    long to = 0;
    long run = bytes;
    var outer = new ArrayList<long[]>();
    for (int dim = sizes.length - 1; dim >= 0; dim--) {
      long a = fromStrides[dim] * bytes;
      long b = toStrides[dim] * bytes;
      from += source[dim] * a;
      to += target[dim] * b;
      if (sizes[dim] == 1) {
        continue;
      }
      long[] inner = outer.isEmpty() ? null : outer.getFirst();
      if (inner == null && a == run && b == run) {
        run *= sizes[dim];
      } else if (inner != null && a == inner[0] * inner[1] && b == inner[0] * inner[2]) {
        inner[0] *= sizes[dim];
      } else {
        outer.addFirst(new long[] {sizes[dim], a, b});
      }
    }
    return new Box(
        from,
        to,
        run,
        outer.stream().mapToLong(d -> d[0]).toArray(),
        outer.stream().mapToLong(d -> d[1]).toArray(),
        outer.stream().mapToLong(d -> d[2]).toArray());
  }

  /** Bytes of all runs. */
  public long bytes() {
    long bytes = run;
    for (long size : sizes) {
      bytes *= size;
    }
    return bytes;
  }

  /** Tells all runs, or parts of them, that make up the bytes {@code begin} to {@code end}. */
  public void forEach(long begin, long end, Action action) {
    if (begin >= end) {
      return;
    }
    long[] index = new long[sizes.length];
    long rest = begin / run;
    long a = from;
    long b = to;
    for (int dim = sizes.length - 1; dim >= 0; dim--) {
      index[dim] = rest % sizes[dim];
      rest /= sizes[dim];
      a += index[dim] * fromSteps[dim];
      b += index[dim] * toSteps[dim];
    }
    long skip = begin % run;
    long done = begin;
    while (true) {
      long length = Math.min(run - skip, end - done);
      action.run(a + skip, b + skip, length);
      done += length;
      if (done == end) {
        return;
      }
      skip = 0;
      for (int dim = sizes.length - 1; dim >= 0; dim--) {
        a += fromSteps[dim];
        b += toSteps[dim];
        if (++index[dim] < sizes[dim]) {
          break;
        }
        a -= fromSteps[dim] * sizes[dim];
        b -= toSteps[dim] * sizes[dim];
        index[dim] = 0;
      }
    }
  }
}
