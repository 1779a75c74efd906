package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A tensor that is known when the graph is made. The engine writes it once, when a program is
 * loaded.
 */
public record Constant(Literal value) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Constant.class,
          Example.of(new Constant(Literal.scalar(DataType.F32, 1.5))),
          Example.of(
              new Constant(
                  Literal.of(TensorType.of(DataType.I64, 2, 2), new long[] {1, 2, 3, 4}))));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 0);
    return List.of(value.type());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    Factors factors =
        new Factors(List.of(), List.of(Factors.named("d", value.type().rank())), Map.of());
    for (int dim = 0; dim < value.type().rank(); dim++) {
      factors = factors.mark("d" + dim, Factors.Mark.WHOLE);
    }
    return factors;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.NONE;
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of();
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    return List.of(value);
  }
}
