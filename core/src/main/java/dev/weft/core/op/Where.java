package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Elements of the second operand where the first is true, of the third elsewhere. */
public record Where() implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Where.class,
          Example.of(new Where(), Example.bool(3, 4), Example.f32(3, 4), Example.f32(3, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 3);
    Check.dtype(this, inputs, 0, d -> d == DataType.BOOL, "booleans");
    Check.type(this, inputs, 0, inputs.get(1).with(DataType.BOOL));
    Check.type(this, inputs, 2, inputs.get(1));
    return List.of(inputs.get(1));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(3, 1, inputs.getFirst().rank());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("aten::where.self_out(x0, x1, x2, y0)").sharing(0, 1).sharing(0, 2));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor dy = adjoint.cotangent();
    Tensor zero = dy.filled(0);
    Tensor condition = adjoint.input(0);
    return Arrays.asList(
        null, Tensor.where(condition, dy, zero), Tensor.where(condition, zero, dy));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    long[] condition = inputs.getFirst().longs();
    Literal a = inputs.get(1);
    Literal b = inputs.get(2);
    if (a.type().dtype().isFloat()) {
      double[] y = new double[condition.length];
      for (int i = 0; i < y.length; i++) {
        y[i] = condition[i] != 0 ? a.doubles()[i] : b.doubles()[i];
      }
      return List.of(Literal.of(a.type(), y));
    }
    long[] y = new long[condition.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = condition[i] != 0 ? a.longs()[i] : b.longs()[i];
    }
    return List.of(Literal.of(a.type(), y));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(1, 2));
  }
}
