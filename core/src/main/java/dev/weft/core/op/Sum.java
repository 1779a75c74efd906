package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.List;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;

/** The sum over some dims. */
public record Sum(List<Integer> dims) implements Reduction {
  static final OpEntry ENTRY =
      OpEntry.of(
          Sum.class,
          Example.of(new Sum(List.of(1)), Example.f32(3, 4)),
          Example.of(new Sum(List.of(0, 2)), Example.f32(2, 3, 4)),
          Example.of(new Sum(List.of(0, 1)), Example.f32(3, 4)));

  public Sum {
    dims = List.copyOf(dims);
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    if (dims.isEmpty()) {
      return List.of(Kernel.of("weft::copy(y0, x0)"));
    }
    return List.of(Kernel.of("aten::sum.IntList_out(x0, &" + dimsText() + ", false, none, y0)"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    return List.of(adjoint.cotangent().broadcast(x.shape(), keptDims(x.shape())));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    TensorType type = infer(List.of(x.type())).getFirst();
    IntUnaryOperator target = target(x);
    if (type.dtype().isFloat()) {
      double[] y = new double[Math.toIntExact(type.elements())];
      for (int i = 0; i < x.elements(); i++) {
        y[target.applyAsInt(i)] += x.doubles()[i];
      }
      return List.of(Literal.of(type, y));
    }
    long[] y = new long[Math.toIntExact(type.elements())];
    for (int i = 0; i < x.elements(); i++) {
      y[target.applyAsInt(i)] += x.longs()[i];
    }
    return List.of(Literal.of(type, y));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }
}
