package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The hyperbolic tangent of each element. */
public record Tanh() implements UnaryOp {
  static final OpEntry ENTRY = OpEntry.of(Tanh.class, Example.of(new Tanh(), Example.f32(3, 4)));

  @Override
  public double apply(double x) {
    return Math.tanh(x);
  }

  @Override
  public double flops() {
    return 10;
  }

  @Override
  public String call() {
    return "aten::tanh.out(x0, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor y = adjoint.output(0);
    Tensor dy = adjoint.cotangent();
    return List.of(dy.times(y.times(y).negate().plus(1)));
  }
}
