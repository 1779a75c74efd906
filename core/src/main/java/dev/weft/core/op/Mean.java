package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The mean over some dims. */
public record Mean(List<Integer> dims) implements Reduction {
  static final OpEntry ENTRY =
      OpEntry.of(
          Mean.class,
          Example.of(new Mean(List.of(1)), Example.f32(3, 4)),
          Example.of(new Mean(List.of(0, 1)), Example.f32(3, 4)));

  public Mean {
    dims = List.copyOf(dims);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    List<TensorType> types = Reduction.super.infer(inputs);
    Check.isFloat(this, inputs, 0);
    return types;
  }

  /** A mean of parts is no mean of the whole: reduced dims stay whole. */
  @Override
  public Factors factors(List<TensorType> inputs) {
    Factors factors = Reduction.super.factors(inputs);
    for (int dim : dims) {
      factors = factors.mark("d" + dim, Factors.Mark.WHOLE);
    }
    return factors;
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(
        Kernel.of(
            dims.isEmpty()
                ? "weft::copy(y0, x0)"
                : "aten::mean.out(x0, &" + dimsText() + ", false, none, y0)"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    double count = (double) x.shape().elements() / adjoint.output(0).shape().elements();
    return List.of(adjoint.cotangent().times(1 / count).broadcast(x.shape(), keptDims(x.shape())));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal sum = new Sum(dims).reference(inputs).getFirst();
    double count = (double) inputs.getFirst().elements() / sum.elements();
    return List.of(
        Literal.of(sum.type(), Arrays.stream(sum.doubles()).map(v -> v / count).toArray()));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }
}
