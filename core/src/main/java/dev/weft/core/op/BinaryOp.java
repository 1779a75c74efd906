package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.List;

/** What arithmetic on two tensors of one type, element by element, has in common. */
interface BinaryOp extends Primitive {
  double apply(double a, double b);

  /** The same for integers. */
  long apply(long a, long b);

  /** The dispatcher's call; by default the out-variant of the op's own name. */
  default String call() {
    return "aten::" + name() + ".out(x0, x1, y0)";
  }

  @Override
  default List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.same(this, inputs);
    Check.dtype(this, inputs, 0, d -> d.isFloat() || d.isInteger(), "numbers");
    return List.of(inputs.getFirst());
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
    return List.of(Kernel.of(call()).sharing(0, 0).sharing(0, 1));
  }

  @Override
  default List<Literal> reference(List<Literal> inputs) {
    TensorType type = inputs.getFirst().type();
    int n = inputs.getFirst().elements();
    if (type.dtype().isFloat()) {
      double[] a = inputs.get(0).doubles();
      double[] b = inputs.get(1).doubles();
      double[] y = new double[n];
      for (int i = 0; i < n; i++) {
        y[i] = apply(a[i], b[i]);
      }
      return List.of(Literal.of(type, y));
    }
    long[] a = inputs.get(0).longs();
    long[] b = inputs.get(1).longs();
    long[] y = new long[n];
    boolean narrow = type.dtype() == dev.weft.core.graph.DataType.I32;
    for (int i = 0; i < n; i++) {
      long result = apply(a[i], b[i]);
      y[i] = narrow ? (int) result : result;
    }
    return List.of(Literal.of(type, y));
  }
}
