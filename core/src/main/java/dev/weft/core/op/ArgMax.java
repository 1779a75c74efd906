package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The index (i64) of the largest element along a dim, which goes away; the lowest index of equal
 * ones. Not-a-number counts as larger than all numbers.
 *
 * @param dim the dim
 */
public record ArgMax(int dim) implements Composite, SelfSplitting {
  static final OpEntry ENTRY =
      OpEntry.of(
          ArgMax.class,
          Example.of(new ArgMax(1), Example.f32(2, 5, 3)),
          Example.of(new ArgMax(0), Example.indices(3, 7, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.dtype(this, inputs, 0, d -> d != DataType.BOOL, "numbers");
    TensorType x = inputs.getFirst();
    Check.require(dim >= 0 && dim < x.rank(), this, inputs, "dim " + dim + " does not exist");
    Check.require(x.size(dim) > 0, this, inputs, "there is no element to choose");
    return List.of(new TensorType(DataType.I64, x.shape().without(dim)));
  }

  /** Split along the dim it is a top-k. */
  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> dims = Factors.named("d", inputs.getFirst().rank());
    var kept = new ArrayList<>(dims);
    kept.remove(dim);
    return new Factors(List.of(dims), List.of(kept), Map.of("d" + dim, Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("aten::argmax.out(x0, &" + dim + ", false, y0)"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Differentiable.none(adjoint);
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor index = Tensor.apply(new TopK(dim, 1), inputs).get(1);
    return List.of(index.reshape(index.shape().without(dim)));
  }

  @Override
  public boolean splits(String factor, List<TensorType> inputs) {
    return factor.equals("d" + dim);
  }

  /** The largest of each part, and of these the first that is the largest of all. */
  @Override
  public List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs) {
    Tensor x = inputs.getFirst();
    Tensor index = Tensor.iota(x.builder(), x.type().with(DataType.I64), dim).plus(part.start());
    double least =
        x.dtype().isFloat()
            ? Double.NEGATIVE_INFINITY
            : x.dtype() == DataType.I32 ? Integer.MIN_VALUE : Long.MIN_VALUE;
    Tensor known = Tensor.where(index.less(part.end()), x, x.filled(least));
    Tensor best = Tensor.one(this, known);
    Tensor row = best.reshape(known.shape().with(dim, 1));
    Tensor values = part.gathered(Tensor.one(new Gather(dim), known, row), dim);
    Tensor indices = part.gathered(Tensor.one(new Gather(dim), index, row), dim);
    Tensor chosen = Tensor.one(this, values).reshape(row.shape());
    return List.of(
        Tensor.one(new Gather(dim), indices, chosen).reshape(outputs.getFirst().shape()));
  }
}
