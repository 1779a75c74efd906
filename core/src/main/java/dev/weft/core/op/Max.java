package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The largest element over some dims; its gradient is shared by equals. */
public record Max(List<Integer> dims) implements Reduction {
  static final OpEntry ENTRY =
      OpEntry.of(
          Max.class,
          Example.of(new Max(List.of(1)), Example.f32(3, 4)),
          Example.of(new Max(List.of(0, 2)), Example.f32(2, 3, 4)));

  public Max {
    dims = List.copyOf(dims);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    List<TensorType> types = Reduction.super.infer(inputs);
    Check.dtype(this, inputs, 0, d -> d != DataType.BOOL, "numbers");
    Check.require(
        inputs.getFirst().elements() > 0 || types.getFirst().elements() == 0,
        this,
        inputs,
        "there is no element to choose");
    return types;
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    Factors factors = Reduction.super.factors(inputs);
    for (int dim : dims) {
      factors = factors.mark("d" + dim, Factors.Mark.MAX);
    }
    return factors;
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(
        Kernel.of(
            dims.isEmpty()
                ? "weft::copy(y0, x0)"
                : "aten::amax.out(x0, " + dimsText() + ", false, y0)"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    List<Integer> kept = keptDims(x.shape());
    Tensor chosen = x.equalTo(adjoint.output(0).broadcast(x.shape(), kept)).cast(x.dtype());
    Tensor share = adjoint.cotangent().dividedBy(chosen.sum(dims));
    return List.of(chosen.times(share.broadcast(x.shape(), kept)));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    TensorType type = infer(List.of(x.type())).getFirst();
    var target = target(x);
    if (!type.dtype().isFloat()) {
      long[] y = new long[Math.toIntExact(type.elements())];
      Arrays.fill(y, Long.MIN_VALUE);
      for (int i = 0; i < x.elements(); i++) {
        int to = target.applyAsInt(i);
        y[to] = Math.max(y[to], x.longs()[i]);
      }
      return List.of(Literal.of(type, y));
    }
    double[] y = new double[Math.toIntExact(type.elements())];
    Arrays.fill(y, Double.NEGATIVE_INFINITY);
    for (int i = 0; i < x.elements(); i++) {
      int to = target.applyAsInt(i);
      y[to] = Math.max(y[to], x.doubles()[i]);
    }
    return List.of(Literal.of(type, y));
  }
}
