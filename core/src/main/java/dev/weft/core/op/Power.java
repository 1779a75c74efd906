package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The first operand to the power of the second. */
public record Power() implements BinaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Power.class, Example.of(new Power(), Example.positive(3, 4), Example.f32(3, 4)));

  @Override
  public double apply(double a, double b) {
    return Math.pow(a, b);
  }

  @Override
  public long apply(long a, long b) {
    return (long) Math.pow(a, b);
  }

  @Override
  public String call() {
    return "aten::pow.Tensor_Tensor_out(x0, x1, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor a = adjoint.input(0);
    Tensor b = adjoint.input(1);
    Tensor dy = adjoint.cotangent();
    Tensor y = adjoint.output(0);
    return List.of(
        dy.times(b.times(Tensor.one(new Power(), a, b.minus(1)))), dy.times(y.times(a.log())));
  }
}
