package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The larger of each element and zero; not-a-number stays. */
public record Relu() implements UnaryOp {
  static final OpEntry ENTRY = OpEntry.of(Relu.class, Example.of(new Relu(), Example.f32(3, 4)));

  @Override
  public double apply(double x) {
    return Double.isNaN(x) ? x : Math.max(x, 0);
  }

  @Override
  public double flops() {
    return 1;
  }

  @Override
  public String call() {
    return "aten::clamp_min.Tensor_out(x0, scalar(0), y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    Tensor dy = adjoint.cotangent();
    return List.of(Tensor.where(x.greater(0), dy, dy.filled(0)));
  }
}
