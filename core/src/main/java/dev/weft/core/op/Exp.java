package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The exponential of each element. */
public record Exp() implements UnaryOp {
  static final OpEntry ENTRY = OpEntry.of(Exp.class, Example.of(new Exp(), Example.f32(3, 4)));

  @Override
  public double apply(double x) {
    return Math.exp(x);
  }

  @Override
  public double flops() {
    return 8;
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(adjoint.cotangent().times(adjoint.output(0)));
  }
}
