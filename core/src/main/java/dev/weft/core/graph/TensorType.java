package dev.weft.core.graph;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Tiles;

/** The element type and shape of a tensor. Text form: {@code f32[256,512]}. */
public record TensorType(DataType dtype, Shape shape) {
  public static TensorType of(DataType dtype, long... sizes) {
    return new TensorType(dtype, Shape.of(sizes));
  }

  public static TensorType scalar(DataType dtype) {
    return new TensorType(dtype, Shape.SCALAR);
  }

  public int rank() {
    return shape.rank();
  }

  public long size(int dim) {
    return shape.size(dim);
  }

  public long elements() {
    return shape.elements();
  }

  /**
   * Bytes of all elements, densely laid out.
   *
   * @throws ShapeException if they are more than the largest {@code long}
   */
  public long bytes() {
    long elements = shape.elements();
    if (elements > Long.MAX_VALUE / dtype.bytes()) {
      throw new ShapeException("a tensor of type " + this + " is larger than any memory");
    }
    return elements * dtype.bytes();
  }

  public TensorType with(DataType other) {
    return new TensorType(other, shape);
  }

  public TensorType with(Shape other) {
    return new TensorType(dtype, other);
  }

  /** The type of the part that each device of a mesh holds: room for the longest tile. */
  public TensorType tile(Layout layout, Mesh mesh) {
    long[] sizes = new long[rank()];
    for (int dim = 0; dim < sizes.length; dim++) {
      sizes[dim] = Tiles.of(size(dim), mesh.select(layout.axes(dim))).room();
    }
    return with(Shape.of(sizes));
  }

  /** Reads what {@link #toString} prints. */
  public static TensorType parse(String text) {
    int open = text.indexOf('[');
    if (open < 0 || !text.endsWith("]")) {
      throw new IllegalArgumentException("expected a type like f32[2,3], found '" + text + "'");
    }
    DataType dtype = DataType.parse(text.substring(0, open));
    String inner = text.substring(open + 1, text.length() - 1).trim();
    if (inner.isEmpty()) {
      return scalar(dtype);
    }
    String[] parts = inner.split(",");
    long[] sizes = new long[parts.length];
    for (int i = 0; i < parts.length; i++) {
      try {
        sizes[i] = Long.parseLong(parts[i].trim());
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException(
            "expected a whole number in type '" + text + "', found '" + parts[i].trim() + "'", e);
      }
    }
    return of(dtype, sizes);
  }

  @Override
  public String toString() {
    return dtype.text() + shape;
  }
}
