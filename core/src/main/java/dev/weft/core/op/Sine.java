package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The sine of each element, in radians. */
public record Sine() implements UnaryOp {
  static final OpEntry ENTRY = OpEntry.of(Sine.class, Example.of(new Sine(), Example.f32(3, 4)));

  @Override
  public double apply(double x) {
    return Math.sin(x);
  }

  @Override
  public double flops() {
    return 10;
  }

  @Override
  public String call() {
    return "aten::sin.out(x0, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    Tensor dy = adjoint.cotangent();
    return List.of(dy.times(x.cos()));
  }
}
