package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.List;

/** What functions of one number, applied to each element of a float tensor, have in common. */
interface UnaryOp extends Primitive {
  double apply(double x);

  /** Operations per element, in additions. */
  default double flops() {
    return 1;
  }

  /** The dispatcher's call; by default the out-variant of the op's own name. */
  default String call() {
    return "aten::" + name() + ".out(x0, y0)";
  }

  @Override
  default List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.isFloat(this, inputs, 0);
    return List.of(inputs.getFirst());
  }

  @Override
  default Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(1, 1, inputs.getFirst().rank());
  }

  @Override
  default Cost cost(List<TensorType> inputs) {
    return Cost.streaming(flops() * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  default List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of(call()).sharing(0, 0));
  }

  @Override
  default List<Literal> reference(List<Literal> inputs) {
    double[] x = inputs.getFirst().doubles();
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = apply(x[i]);
    }
    return List.of(Literal.of(inputs.getFirst().type(), y));
  }
}
