package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.util.List;

/** A way to compute an op. */
public enum Route {
  /** By its kernel for the types that it has. */
  DIRECT,
  /**
   * By its kernel for f32, between casts: the way for a processor that emulates narrow products.
   * The result is rounded once, as the narrow kernel's is.
   */
  WIDE,
  /**
   * In loops of Weft's own: one row times a matrix, on devices that were opened to decode; see
   * {@link Routes#withLoops}.
   */
  LOOP;

  /** Operations per byte below which casts cost more than any kernel gains. */
  private static final double INTENSITY = 16;

  /** Whether there is a choice for an op on these types. */
  static boolean isChoice(DeviceKind kind, Op op, List<TensorType> types) {
    if (types.stream().noneMatch(type -> isNarrow(type.dtype()))) {
      return false;
    }
    List<Kernel> direct = op.kernels(kind, types);
    List<Kernel> wide = op.kernels(kind, widened(types));
    return !direct.isEmpty()
        && !wide.isEmpty()
        && wide.getFirst().mutates().isEmpty()
        && wide.getFirst().clobbers().isEmpty()
        && op.cost(types).flops() > INTENSITY * op.cost(types).bytes();
  }

  /** The types on which the op's kernel runs. */
  List<TensorType> types(List<TensorType> types) {
    return this == WIDE ? widened(types) : types;
  }

  private static List<TensorType> widened(List<TensorType> types) {
    return types.stream()
        .map(t -> isNarrow(t.dtype()) ? new TensorType(DataType.F32, t.shape()) : t)
        .toList();
  }

  static boolean isNarrow(DataType dtype) {
    return dtype == DataType.BF16 || dtype == DataType.F16;
  }
}
