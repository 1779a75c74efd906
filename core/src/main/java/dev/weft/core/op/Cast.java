package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The elements in another data type. Floats are rounded to nearest even, to integers towards zero;
 * to booleans anything but zero is true.
 */
public record Cast(DataType to) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Cast.class,
          Example.of(new Cast(DataType.F64), Example.f32(3, 4)),
          Example.of(new Cast(DataType.BF16), Example.f32(3, 4)),
          Example.of(new Cast(DataType.F16), Example.f32(3, 4)),
          Example.of(new Cast(DataType.F32), Example.indices(9, 3, 4)),
          Example.of(new Cast(DataType.I32), Example.f32(3, 4)),
          Example.of(new Cast(DataType.F32), Example.bool(3, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    return List.of(inputs.getFirst().with(to));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(1, 1, inputs.getFirst().rank());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("weft::copy(y0, x0)"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    DataType from = adjoint.input(0).dtype();
    return java.util.Collections.singletonList(
        from.isFloat() && to.isFloat() ? adjoint.cotangent().cast(from) : null);
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    TensorType type = x.type().with(to);
    int n = x.elements();
    if (to.isFloat()) {
      double[] y = new double[n];
      for (int i = 0; i < n; i++) {
        y[i] = Rounding.round(to, x.asDouble(i));
      }
      return List.of(Literal.of(type, y));
    }
    long[] y = new long[n];
    for (int i = 0; i < n; i++) {
      if (to == DataType.BOOL) {
        y[i] = x.asDouble(i) != 0 ? 1 : 0;
      } else {
        long whole = x.type().dtype().isFloat() ? (long) x.doubles()[i] : x.longs()[i];
        y[i] = to == DataType.I32 ? (int) whole : whole;
      }
    }
    return List.of(Literal.of(type, y));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return inputs.getFirst().dtype().isFloat() && to.isFloat() ? List.of(List.of(0)) : List.of();
  }
}
