package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The error function of each element. */
public record Erf() implements UnaryOp {
  static final OpEntry ENTRY = OpEntry.of(Erf.class, Example.of(new Erf(), Example.f32(3, 4)));

  @Override
  public double apply(double x) {
    return ErrorFunction.erf(x);
  }

  @Override
  public double flops() {
    return 12;
  }

  @Override
  public String call() {
    return "aten::erf.out(x0, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    Tensor dy = adjoint.cotangent();
    return List.of(dy.times(x.times(x).negate().exp().times(2 / Math.sqrt(Math.PI))));
  }
}
