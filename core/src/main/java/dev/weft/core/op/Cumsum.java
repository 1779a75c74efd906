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
 * Sums that run along a dim: element i is the sum of elements 0 to i.
 *
 * @param dim the dim
 * @param reverse whether they run from the end: element i is the sum of elements i to the last
 */
public record Cumsum(int dim, boolean reverse) implements Primitive, SelfSplitting {
  static final OpEntry ENTRY =
      OpEntry.of(
          Cumsum.class,
          Example.of(new Cumsum(1, false), Example.f32(2, 5, 3)),
          Example.of(new Cumsum(0, true), Example.f32(4, 3)),
          Example.of(new Cumsum(1, true), Example.indices(9, 3, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.dtype(this, inputs, 0, d -> d != DataType.BOOL, "numbers");
    Check.require(
        dim >= 0 && dim < inputs.getFirst().rank(), this, inputs, "dim " + dim + " does not exist");
    return inputs;
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(1, 1, inputs.getFirst().rank()).mark("d" + dim, Factors.Mark.SCAN);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(inputs.getFirst().elements(), inputs, inputs);
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    TensorType x = inputs.getFirst();
    String sum = "aten::cumsum.out(%s, " + dim + ", &" + x.dtype().text() + ", %s)";
    if (!reverse) {
      return List.of(Kernel.of(sum.formatted("x0", "y0")));
    }
    String flip = "aten::flip(%s, [" + dim + "]) -> %s";
    return List.of(
        Kernel.of(
            flip.formatted("x0", "t0:" + x),
            sum.formatted("t0", "t1:" + x),
            flip.formatted("t1", "y0")));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(Tensor.one(new Cumsum(dim, !reverse), adjoint.cotangent()));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    int size = (int) x.type().size(dim);
    int inner = (int) x.shape().product(dim + 1, x.type().rank());
    int step = reverse ? inner : -inner;
    int first = reverse ? size - 1 : 0;
    boolean isFloat = x.type().dtype().isFloat();
    double[] doubles = isFloat ? x.doubles().clone() : new double[0];
    long[] longs = isFloat ? new long[0] : x.longs().clone();
    boolean narrow = x.type().dtype() == DataType.I32;
    for (int n = 0; n < x.elements(); n++) {
      // In the order of the sums: backward where they run backward.
      int i = reverse ? x.elements() - 1 - n : n;
      if (i / inner % size == first) {
        continue;
      }
      if (isFloat) {
        doubles[i] += doubles[i + step];
      } else {
        longs[i] = narrow ? (int) (longs[i] + longs[i + step]) : longs[i] + longs[i + step];
      }
    }
    return List.of(isFloat ? Literal.of(x.type(), doubles) : Literal.of(x.type(), longs));
  }

  @Override
  public boolean splits(String factor, List<TensorType> inputs) {
    return true;
  }

  /** Sums along the part, and the totals of the parts before it. */
  @Override
  public List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs) {
    Tensor x = part.masked(inputs.getFirst(), dim, 0);
    Tensor totals = part.gathered(x.sum(List.of(dim)).reshape(x.shape().with(dim, 1)), dim);
    TensorType line = TensorType.of(DataType.I64, part.count());
    Tensor positions = Tensor.iota(x.builder(), line, 0);
    Tensor number = part.number().broadcast(line.shape(), List.of());
    Tensor before = reverse ? positions.greater(number) : positions.less(number);
    Tensor counted =
        Tensor.where(before.broadcast(totals.shape(), List.of(dim)), totals, totals.filled(0));
    Tensor offset = counted.sum(List.of(dim));
    return List.of(Tensor.one(this, x).plus(offset.alongside(x, dim)));
  }
}
