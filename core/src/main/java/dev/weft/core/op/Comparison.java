package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What comparing two tensors of one type, element by element, has in common. */
interface Comparison extends Primitive {
  boolean holds(double a, double b);

  boolean holds(long a, long b);

  /** The library's short name: {@code gt}. */
  String symbol();

  @Override
  default List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.same(this, inputs);
    return List.of(inputs.getFirst().with(DataType.BOOL));
  }

  @Override
  default Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(2, 1, inputs.getFirst().rank());
  }

  @Override
  default Cost cost(List<TensorType> inputs) {
    return Cost.streaming(inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  default List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("aten::" + symbol() + ".Tensor_out(x0, x1, y0)"));
  }

  @Override
  default List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Differentiable.none(adjoint);
  }

  @Override
  default List<Literal> reference(List<Literal> inputs) {
    Literal a = inputs.get(0);
    Literal b = inputs.get(1);
    long[] y = new long[a.elements()];
    for (int i = 0; i < y.length; i++) {
      boolean holds =
          a.type().dtype().isFloat()
              ? holds(a.doubles()[i], b.doubles()[i])
              : holds(a.longs()[i], b.longs()[i]);
      y[i] = holds ? 1 : 0;
    }
    return List.of(Literal.of(a.type().with(DataType.BOOL), y));
  }
}
