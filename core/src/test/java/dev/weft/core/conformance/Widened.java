package dev.weft.core.conformance;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;

/** Ops and types with every float in double precision, for comparison with finite differences. */
final class Widened {
  private Widened() {}

  static TensorType type(TensorType type) {
    return type.dtype().isFloat() ? type.with(DataType.F64) : type;
  }

  static Literal literal(Literal literal) {
    return literal.type().dtype().isFloat()
        ? Literal.of(type(literal.type()), literal.doubles())
        : literal;
  }

  /** The op with attributes of float types widened. */
  static Op op(Op op) {
    RecordComponent[] components = op.getClass().getRecordComponents();
    Object[] values = new Object[components.length];
    try {
      for (int i = 0; i < components.length; i++) {
        components[i].getAccessor().setAccessible(true);
        values[i] = attribute(components[i].getAccessor().invoke(op));
      }
      Class<?>[] types =
          Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new);
      return (Op) op.getClass().getDeclaredConstructor(types).newInstance(values);
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(op + " cannot be made again from its attributes", e);
    }
  }

  private static Object attribute(Object value) {
    return switch (value) {
      case DataType dtype when dtype.isFloat() -> DataType.F64;
      case TensorType type -> type(type);
      case Literal literal -> literal(literal);
      default -> value;
    };
  }
}
