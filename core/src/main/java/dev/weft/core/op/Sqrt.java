package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The square root of each element. */
public record Sqrt() implements UnaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Sqrt.class, Example.of(new Sqrt(), Example.positive(3, 4)));

  @Override
  public double apply(double x) {
    return Math.sqrt(x);
  }

  @Override
  public double flops() {
    return 4;
  }

  @Override
  public String call() {
    return "aten::sqrt.out(x0, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor y = adjoint.output(0);
    Tensor dy = adjoint.cotangent();
    return List.of(dy.dividedBy(y.times(2)));
  }
}
