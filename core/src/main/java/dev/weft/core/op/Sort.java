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

/**
 * Elements in order along a dim, equal ones in the order that they had; not-a-number counts as
 * larger than all numbers. Outputs: the elements, and the index that each had (i64).
 *
 * @param dim the dim
 * @param descending whether the largest come first
 */
public record Sort(int dim, boolean descending) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Sort.class,
          Example.of(new Sort(1, false), Example.f32(2, 5, 3)),
          Example.of(new Sort(1, true), Example.indices(4, 3, 9)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.dtype(this, inputs, 0, d -> d != DataType.BOOL, "numbers");
    TensorType x = inputs.getFirst();
    Check.require(dim >= 0 && dim < x.rank(), this, inputs, "dim " + dim + " does not exist");
    return List.of(x, x.with(DataType.I64));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(1, 2, inputs.getFirst().rank()).mark("d" + dim, Factors.Mark.WHOLE);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    TensorType x = inputs.getFirst();
    double comparisons = Math.log(Math.max(2, x.size(dim))) / Math.log(2);
    return Cost.streaming(x.elements() * comparisons, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(
        Kernel.of(
            "aten::sort.values_stable(x0, &true, %d, %b, y0, y1)".formatted(dim, descending)));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(
        Tensor.one(
            new ScatterAdd(dim),
            adjoint.input(0).filled(0),
            adjoint.output(1),
            adjoint.cotangent()));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    int[] places = Ordering.places(x, dim, descending, (int) x.type().size(dim));
    return List.of(
        Gathering.pick(x, x.shape(), i -> places[i]),
        Literal.of(x.type().with(DataType.I64), Ordering.indices(x, dim, places)));
  }
}
