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

/** What logic on booleans and on the bits of integers, element by element, has in common. */
interface BitOp extends Primitive {
  /** The result for the given operands; one operand leaves the second 0. */
  long apply(long a, long b);

  /** How many operands. */
  default int operands() {
    return 2;
  }

  /** Whether operands are booleans, or else integers. */
  boolean logical();

  String call();

  @Override
  default List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, operands());
    Check.same(this, inputs);
    if (logical()) {
      Check.dtype(this, inputs, 0, d -> d == DataType.BOOL, "booleans");
    } else {
      Check.dtype(this, inputs, 0, DataType::isInteger, "integers");
    }
    return List.of(inputs.getFirst());
  }

  @Override
  default Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(operands(), 1, inputs.getFirst().rank());
  }

  @Override
  default Cost cost(List<TensorType> inputs) {
    return Cost.streaming(inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  default List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of(call()).sharing(0, 0));
  }

  @Override
  default List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Differentiable.none(adjoint);
  }

  @Override
  default List<Literal> reference(List<Literal> inputs) {
    TensorType type = inputs.getFirst().type();
    long[] a = inputs.getFirst().longs();
    long[] y = new long[a.length];
    for (int i = 0; i < y.length; i++) {
      long result = apply(a[i], operands() == 1 ? 0 : inputs.get(1).longs()[i]);
      y[i] = type.dtype() == DataType.I32 ? (int) result : result;
    }
    return List.of(Literal.of(type, y));
  }
}
