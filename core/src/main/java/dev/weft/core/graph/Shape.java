package dev.weft.core.graph;

import java.util.Arrays;
import java.util.stream.Collectors;

/** The sizes of a tensor's dims, outermost first. A scalar has rank 0 and one element. */
public final class Shape {
  public static final Shape SCALAR = new Shape(new long[0]);

  private final long[] sizes;

  private Shape(long[] sizes) {
    this.sizes = sizes;
  }

  /**
   * A shape of the given sizes.
   *
   * @throws IllegalArgumentException if a size is negative
   */
  public static Shape of(long... sizes) {
    for (long size : sizes) {
      if (size < 0) {
        throw new IllegalArgumentException("negative size in shape " + Arrays.toString(sizes));
      }
    }
    return sizes.length == 0 ? SCALAR : new Shape(sizes.clone());
  }

  public int rank() {
    return sizes.length;
  }

  /** The size of a dim; a negative dim counts from the end. */
  public long size(int dim) {
    return sizes[normalize(dim)];
  }

  /** A dim counted from the front, whichever end it was counted from. */
  public int normalize(int dim) {
    int normalized = dim < 0 ? dim + sizes.length : dim;
    if (normalized < 0 || normalized >= sizes.length) {
      throw new ShapeException(
          "dim " + dim + " does not exist in shape " + this + " of rank " + sizes.length);
    }
    return normalized;
  }

  public long[] sizes() {
    return sizes.clone();
  }

  /** The product of all sizes; 1 for a scalar. */
  public long elements() {
    return product(0, sizes.length);
  }

  /**
   * The product of the sizes of dims {@code from} (inclusive) to {@code to} (exclusive).
   *
   * @throws ShapeException if it is above the largest {@code long}
   */
  public long product(int from, int to) {
    long product = 1;
    for (int dim = from; dim < to; dim++) {
      if (Math.multiplyHigh(product, sizes[dim]) != 0 || product * sizes[dim] < 0) {
        throw new ShapeException("a tensor of shape " + this + " is larger than any memory");
      }
      product *= sizes[dim];
    }
    return product;
  }

  /** Distances in elements between neighbours along each dim, for a row-major dense layout. */
  public long[] strides() {
    long[] strides = new long[sizes.length];
    long stride = 1;
    for (int dim = sizes.length - 1; dim >= 0; dim--) {
      strides[dim] = stride;
      stride *= sizes[dim];
    }
    return strides;
  }

  /** This shape with one size replaced. */
  public Shape with(int dim, long size) {
    long[] changed = sizes.clone();
    changed[normalize(dim)] = size;
    return of(changed);
  }

  /** This shape with a dim taken out. */
  public Shape without(int dim) {
    int gone = normalize(dim);
    long[] rest = new long[sizes.length - 1];
    System.arraycopy(sizes, 0, rest, 0, gone);
    System.arraycopy(sizes, gone + 1, rest, gone, rest.length - gone);
    return of(rest);
  }

  /** This shape with a new dim inserted before {@code dim}. */
  public Shape insert(int dim, long size) {
    long[] more = new long[sizes.length + 1];
    System.arraycopy(sizes, 0, more, 0, dim);
    more[dim] = size;
    System.arraycopy(sizes, dim, more, dim + 1, sizes.length - dim);
    return of(more);
  }

  /** The dims {@code from} (inclusive) to {@code to} (exclusive) as a shape. */
  public Shape slice(int from, int to) {
    return of(Arrays.copyOfRange(sizes, from, to));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Shape shape && Arrays.equals(sizes, shape.sizes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(sizes);
  }

  /** {@code [256,512]}; {@code []} for a scalar. */
  @Override
  public String toString() {
    return Arrays.stream(sizes).mapToObj(Long::toString).collect(Collectors.joining(",", "[", "]"));
  }
}
