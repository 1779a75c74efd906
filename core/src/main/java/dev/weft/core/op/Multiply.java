package dev.weft.core.op;

import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The product of two tensors, element by element. */
public record Multiply() implements BinaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Multiply.class, Example.of(new Multiply(), Example.f32(3, 4), Example.f32(3, 4)));

  @Override
  public double apply(double a, double b) {
    return a * b;
  }

  @Override
  public long apply(long a, long b) {
    return a * b;
  }

  @Override
  public String call() {
    return "aten::mul.out(x0, x1, y0)";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor dy = adjoint.cotangent();
    return List.of(dy.times(adjoint.input(1)), dy.times(adjoint.input(0)));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0), List.of(1));
  }
}
