package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The logistic function of each element. */
public record Sigmoid() implements UnaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Sigmoid.class, Example.of(new Sigmoid(), Example.f32(3, 4)));

  @Override
  public double apply(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  @Override
  public double flops() {
    return 10;
  }

  @Override
  public String call() {
    return "aten::sigmoid.out(x0, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor y = adjoint.output(0);
    Tensor dy = adjoint.cotangent();
    return List.of(dy.times(y.times(y.negate().plus(1))));
  }
}
