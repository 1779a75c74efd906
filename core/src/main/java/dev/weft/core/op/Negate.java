package dev.weft.core.op;

import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The negative of each element, of floats or integers. */
public record Negate() implements UnaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Negate.class, Example.of(new Negate(), Example.f32(3, 4)));

  @Override
  public double apply(double x) {
    return -x;
  }

  @Override
  public String call() {
    return "aten::neg.out(x0, y0)";
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.dtype(this, inputs, 0, d -> d.isFloat() || d.isInteger(), "numbers");
    return inputs;
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    if (inputs.getFirst().type().dtype().isFloat()) {
      return UnaryOp.super.reference(inputs);
    }
    long[] x = inputs.getFirst().longs();
    long[] y = new long[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = -x[i];
    }
    return List.of(Literal.of(inputs.getFirst().type(), y));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(adjoint.cotangent().negate());
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }
}
