package dev.weft.core.graph;

import java.util.Arrays;
import java.util.Optional;

/**
 * How a tensor lies in memory: sizes, distances between neighbours and the first element's offset,
 * all in elements. A stride of 0 repeats one element.
 */
public record Strided(Shape shape, long[] strides, long offset) {
  public static Strided dense(Shape shape) {
    return new Strided(shape, shape.strides(), 0);
  }

  /** Whether the same elements lie in the same places; strides of dims of size 1 do not matter. */
  public boolean isSame(Strided other) {
    boolean same = shape.equals(other.shape) && offset == other.offset;
    for (int dim = 0; same && dim < shape.rank(); dim++) {
      same = shape.size(dim) == 1 || strides[dim] == other.strides[dim];
    }
    return same;
  }

  /** Row-major without gaps; strides of dims of size 1 do not matter. */
  public boolean isContiguous() {
    long expected = 1;
    for (int dim = shape.rank() - 1; dim >= 0; dim--) {
      if (shape.size(dim) != 1 && strides[dim] != expected) {
        return shape.elements() == 0;
      }
      expected *= shape.size(dim);
    }
    return true;
  }

  /**
   * The same shape without gaps or repeated elements, dims in the order in which they lie here, so
   * that a copy reads and writes memory in order.
   */
  public Strided packed() {
    Integer[] order = new Integer[shape.rank()];
    Arrays.setAll(order, dim -> dim);
    Arrays.sort(order, (a, b) -> Long.compare(Math.abs(strides[a]), Math.abs(strides[b])));
    long[] result = new long[shape.rank()];
    long run = 1;
    // Dims that repeat go outside: where they lie inside, others could not be copied in one run.
    for (boolean repeated : new boolean[] {false, true}) {
      for (int dim : order) {
        if ((strides[dim] == 0) == repeated) {
          result[dim] = run;
          run *= shape.size(dim);
        }
      }
    }
    return new Strided(shape, result, 0);
  }

  /** The same elements in another shape, if that needs no copy. */
  public Optional<Strided> reshape(Shape target) {
    if (target.elements() != shape.elements()) {
      throw new ShapeException("reshape: " + shape + " has other elements than " + target);
    }
    if (target.elements() == 0) {
      return Optional.of(dense(target));
    }
    long[] result = new long[target.rank()];
    int from = shape.rank() - 1;
    int to = target.rank() - 1;
    // Match groups of dims from the inside out; in each group the old dims must be one run.
    while (to >= 0 || from >= 0) {
      while (from >= 0 && shape.size(from) == 1) {
        from--;
      }
      while (to >= 0 && target.size(to) == 1) {
        result[to] = to + 1 < target.rank() ? result[to + 1] * target.size(to + 1) : 1;
        to--;
      }
      if (to < 0 && from < 0) {
        break;
      }
      long inner = strides[from];
      long have = shape.size(from);
      long want = target.size(to);
      long run = inner;
      result[to] = run;
      int first = from;
      while (have != want) {
        if (have < want) {
          first--;
          while (shape.size(first) == 1) {
            first--;
          }
          int previous = first + 1;
          while (shape.size(previous) == 1) {
            previous++;
          }
          if (strides[first] != strides[previous] * shape.size(previous)) {
            return Optional.empty();
          }
          have *= shape.size(first);
        } else {
          run *= target.size(to);
          to--;
          result[to] = run;
          want *= target.size(to);
        }
      }
      from = first - 1;
      to--;
    }
    return Optional.of(new Strided(target, result, offset));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Strided that
        && shape.equals(that.shape)
        && Arrays.equals(strides, that.strides)
        && offset == that.offset;
  }

  @Override
  public int hashCode() {
    return 31 * (31 * shape.hashCode() + Arrays.hashCode(strides)) + Long.hashCode(offset);
  }

  @Override
  public String toString() {
    return shape + " strides " + Arrays.toString(strides) + " offset " + offset;
  }
}
