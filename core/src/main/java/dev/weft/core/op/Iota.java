package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Whole numbers counting from 0 along one dim.
 *
 * @param type the output
 * @param dim the dim along which they count
 */
public record Iota(TensorType type, int dim) implements Primitive, SelfSplitting {
  static final OpEntry ENTRY =
      OpEntry.of(
          Iota.class,
          Example.of(new Iota(TensorType.of(DataType.I64, 3, 4), 1)),
          Example.of(new Iota(TensorType.of(DataType.F32, 3, 4), 0)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 0);
    Check.require(
        dim >= 0 && dim < type.rank() && type.dtype() != DataType.BOOL,
        this,
        inputs,
        "dim " + dim + " does not exist in " + type + " or it holds no numbers");
    return List.of(type);
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return new Factors(List.of(), List.of(Factors.named("d", type.rank())), Map.of())
        .mark("d" + dim, Factors.Mark.WHOLE);
  }

  @Override
  public Op local(List<TensorType> outputs) {
    return new Iota(outputs.getFirst(), dim);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("weft::iota(y0, " + dim + ")"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of();
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    long inner = type.shape().product(dim + 1, type.rank());
    long size = type.size(dim);
    int n = Math.toIntExact(type.elements());
    if (type.dtype().isFloat()) {
      double[] y = new double[n];
      for (int i = 0; i < n; i++) {
        y[i] = i / inner % size;
      }
      return List.of(Literal.of(type, y));
    }
    long[] y = new long[n];
    for (int i = 0; i < n; i++) {
      y[i] = i / inner % size;
    }
    return List.of(Literal.of(type, y));
  }

  @Override
  public boolean splits(String factor, List<TensorType> inputs) {
    return true;
  }

  /** Counts from where the part begins. */
  @Override
  public List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs) {
    Tensor start = part.start();
    TensorType wide = outputs.getFirst().with(DataType.I64);
    Tensor counted = Tensor.iota(start.builder(), wide, dim).plus(start);
    return List.of(counted.cast(type.dtype()));
  }
}
