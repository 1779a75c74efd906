package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The smaller of two elements; the gradient of a tie is shared. */
public record Minimum() implements BinaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Minimum.class, Example.of(new Minimum(), Example.f32(3, 4), Example.f32(3, 4)));

  @Override
  public double apply(double a, double b) {
    return Double.isNaN(a) ? a : Math.min(a, b);
  }

  @Override
  public long apply(long a, long b) {
    return Math.min(a, b);
  }

  @Override
  public String call() {
    return "aten::minimum.out(x0, x1, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor a = adjoint.input(0);
    Tensor b = adjoint.input(1);
    Tensor dy = adjoint.cotangent();
    Tensor first = a.less(b);
    Tensor tie = Tensor.where(a.equalTo(b), dy.times(0.5), dy.filled(0));
    return List.of(Tensor.where(first, dy, tie), Tensor.where(b.less(a), dy, tie));
  }
}
