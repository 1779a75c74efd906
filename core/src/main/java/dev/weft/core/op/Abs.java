package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The absolute value of each element. */
public record Abs() implements UnaryOp {
  static final OpEntry ENTRY = OpEntry.of(Abs.class, Example.of(new Abs(), Example.f32(3, 4)));

  @Override
  public double apply(double x) {
    return Math.abs(x);
  }

  @Override
  public double flops() {
    return 1;
  }

  @Override
  public String call() {
    return "aten::abs.out(x0, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    Tensor dy = adjoint.cotangent();
    return List.of(
        Tensor.where(x.greater(0), dy, Tensor.where(x.less(0), dy.negate(), dy.filled(0))));
  }
}
