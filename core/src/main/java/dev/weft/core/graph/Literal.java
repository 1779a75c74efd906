package dev.weft.core.graph;

import java.util.Arrays;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * A tensor in plain Java, dense and row-major: doubles for floats, longs for integers, 0 and 1 for
 * booleans. The arrays are not copied: whoever makes a literal gives them away.
 */
public final class Literal {
  private final TensorType type;
  private final double @Nullable [] doubles;
  private final long @Nullable [] longs;

  private Literal(TensorType type, double @Nullable [] doubles, long @Nullable [] longs) {
    this.type = type;
    this.doubles = doubles;
    this.longs = longs;
  }

  /** A tensor of floats. */
  public static Literal of(TensorType type, double[] values) {
    check(type, values.length, type.dtype().isFloat());
    return new Literal(type, values, null);
  }

  /** A tensor of integers or booleans. */
  public static Literal of(TensorType type, long[] values) {
    check(type, values.length, !type.dtype().isFloat());
    return new Literal(type, null, values);
  }

  /** A scalar. */
  public static Literal scalar(DataType dtype, double value) {
    return filled(TensorType.scalar(dtype), value);
  }

  /** A tensor of one number everywhere. */
  public static Literal filled(TensorType type, double value) {
    int elements = Math.toIntExact(type.elements());
    if (type.dtype().isFloat()) {
      double[] values = new double[elements];
      Arrays.fill(values, value);
      return new Literal(type, values, null);
    }
    long[] values = new long[elements];
    Arrays.fill(values, (long) value);
    return new Literal(type, null, values);
  }

  private static void check(TensorType type, int length, boolean fits) {
    if (!fits) {
      throw new IllegalArgumentException("wrong kind of array for " + type);
    }
    if (length != type.elements()) {
      throw new IllegalArgumentException(length + " values for " + type);
    }
  }

  public TensorType type() {
    return type;
  }

  public Shape shape() {
    return type.shape();
  }

  public int elements() {
    return doubles != null ? doubles.length : Objects.requireNonNull(longs).length;
  }

  /** The values of floats, not a copy. */
  public double[] doubles() {
    if (doubles == null) {
      throw new IllegalStateException(type + " holds no floats");
    }
    return doubles;
  }

  /** The values of integers or booleans, not a copy. */
  public long[] longs() {
    if (longs == null) {
      throw new IllegalStateException(type + " holds no integers");
    }
    return longs;
  }

  /** An element as a double, whatever it is. */
  public double asDouble(int index) {
    return doubles != null ? doubles[index] : Objects.requireNonNull(longs)[index];
  }

  /** The same elements in another shape. */
  public Literal reshape(Shape shape) {
    return doubles != null
        ? of(type.with(shape), doubles)
        : of(type.with(shape), Objects.requireNonNull(longs));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Literal that
        && type.equals(that.type)
        && Arrays.equals(doubles, that.doubles)
        && Arrays.equals(longs, that.longs);
  }

  @Override
  public int hashCode() {
    return 31 * type.hashCode() + Arrays.hashCode(doubles) + Arrays.hashCode(longs);
  }

  /** {@code f32[2]{1.0, 2.0}}; one number stands for all where all are equal. */
  @Override
  public String toString() {
    boolean same = true;
    for (int i = 1; i < elements(); i++) {
      same &=
          doubles != null
              ? Double.doubleToLongBits(doubles[i]) == Double.doubleToLongBits(doubles[0])
              : Objects.requireNonNull(longs)[i] == longs[0];
    }
    long shown = same ? Math.min(1, elements()) : elements();
    String values =
        doubles != null
            ? DoubleStream.of(doubles)
                .limit(shown)
                .mapToObj(Double::toString)
                .collect(Collectors.joining(", "))
            : LongStream.of(Objects.requireNonNull(longs))
                .limit(shown)
                .mapToObj(Long::toString)
                .collect(Collectors.joining(", "));
    return type + "{" + values + "}";
  }
}
