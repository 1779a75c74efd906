package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The quotient of two tensors, element by element; integers are rounded down. */
public record Divide() implements BinaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Divide.class, Example.of(new Divide(), Example.f32(3, 4), Example.positive(3, 4)));

  @Override
  public double apply(double a, double b) {
    return a / b;
  }

  @Override
  public long apply(long a, long b) {
    return Math.floorDiv(a, b);
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    String call =
        inputs.getFirst().dtype().isFloat()
            ? "aten::div.out(x0, x1, y0)"
            : "aten::div.out_mode(x0, x1, &\"floor\", y0)";
    return List.of(Kernel.of(call).sharing(0, 0).sharing(0, 1));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor dy = adjoint.cotangent();
    Tensor da = dy.dividedBy(adjoint.input(1));
    return List.of(da, da.times(adjoint.output(0)).negate());
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return inputs.getFirst().dtype().isFloat() ? List.of(List.of(0)) : List.of();
  }
}
