package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** One over the square root of each element. */
public record Rsqrt() implements UnaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Rsqrt.class, Example.of(new Rsqrt(), Example.positive(3, 4)));

  @Override
  public double apply(double x) {
    return 1 / Math.sqrt(x);
  }

  @Override
  public double flops() {
    return 5;
  }

  @Override
  public String call() {
    return "aten::rsqrt.out(x0, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor y = adjoint.output(0);
    Tensor dy = adjoint.cotangent();
    return List.of(dy.times(y.times(y).times(y)).times(-0.5));
  }
}
