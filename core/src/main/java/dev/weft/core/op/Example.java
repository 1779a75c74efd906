package dev.weft.core.op;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.util.List;

/**
 * An application of an op that the conformance suite tries: kernel against reference, gradient
 * against finite differences, factors, text form.
 *
 * @param op the op with its attributes
 * @param arguments what it is given
 */
public record Example(Op op, List<Argument> arguments) {
  /** A type and where its random values lie. */
  public record Argument(TensorType type, Domain domain) {}

  /**
   * Bounds of random values; integers are drawn from low (inclusive) to high (exclusive), floats
   * between them.
   */
  public record Domain(double low, double high) {}

  public static Example of(Op op, Argument... arguments) {
    return new Example(op, List.of(arguments));
  }

  /** f32 values between -2 and 2. */
  public static Argument f32(long... sizes) {
    return in(-2, 2, TensorType.of(DataType.F32, sizes));
  }

  /** f32 values between 0.25 and 2. */
  public static Argument positive(long... sizes) {
    return in(0.25, 2, TensorType.of(DataType.F32, sizes));
  }

  /** i64 values from 0 to {@code bound} (exclusive). */
  public static Argument indices(long bound, long... sizes) {
    return in(0, bound, TensorType.of(DataType.I64, sizes));
  }

  public static Argument bool(long... sizes) {
    return in(0, 2, TensorType.of(DataType.BOOL, sizes));
  }

  public static Argument in(double low, double high, TensorType type) {
    return new Argument(type, new Domain(low, high));
  }

  public List<TensorType> types() {
    return arguments.stream().map(Argument::type).toList();
  }
}
