package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The natural logarithm of each element. */
public record Log() implements UnaryOp {
  static final OpEntry ENTRY = OpEntry.of(Log.class, Example.of(new Log(), Example.positive(3, 4)));

  @Override
  public double apply(double x) {
    return Math.log(x);
  }

  @Override
  public double flops() {
    return 8;
  }

  @Override
  public String call() {
    return "aten::log.out(x0, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    Tensor y = adjoint.output(0);
    Tensor dy = adjoint.cotangent();
    return List.of(dy.dividedBy(x));
  }
}
