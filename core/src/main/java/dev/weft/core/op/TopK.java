package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The k largest elements along a dim, the largest first, of equal ones that with the lowest index;
 * not-a-number counts as larger than all numbers. Outputs: the elements, and their indices (i64).
 *
 * @param dim the dim
 * @param k how many; at most the dim's size
 */
public record TopK(int dim, long k) implements Primitive, SelfSplitting {
  static final OpEntry ENTRY =
      OpEntry.of(
          TopK.class,
          Example.of(new TopK(1, 2), Example.f32(2, 5, 3)),
          Example.of(new TopK(1, 1), Example.f32(3, 6)),
          Example.of(new TopK(1, 1), Example.indices(3, 4, 9)),
          Example.of(new TopK(0, 4), Example.indices(3, 9, 2)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.dtype(this, inputs, 0, d -> d != DataType.BOOL, "numbers");
    TensorType x = inputs.getFirst();
    Check.require(dim >= 0 && dim < x.rank(), this, inputs, "dim " + dim + " does not exist");
    Check.require(k >= 0 && k <= x.size(dim), this, inputs, k + " of " + x.size(dim) + " elements");
    TensorType chosen = x.with(x.shape().with(dim, k));
    return List.of(chosen, chosen.with(DataType.I64));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var from = new ArrayList<>(Factors.named("d", inputs.getFirst().rank()));
    var to = new ArrayList<>(from);
    from.set(dim, List.of("t"));
    to.set(dim, List.of("k"));
    return new Factors(
        List.of(from), List.of(to, to), Map.of("t", Factors.Mark.TOP_K, "k", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    TensorType x = inputs.getFirst();
    double comparisons = Math.log(Math.max(2, x.size(dim))) / Math.log(2);
    return Cost.streaming(x.elements() * comparisons, inputs, infer(inputs));
  }

  /**
   * The library's own top-k leaves open which of equal elements it takes: a stable sort does not.
   */
  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    TensorType x = inputs.getFirst();
    if (k == 1 && x.elements() > 0) {
      return List.of(Kernel.of("aten::max.dim_max(x0, " + dim + ", true, y0, y1)"));
    }
    long[] starts = new long[x.rank()];
    long[] strides = new long[x.rank()];
    Arrays.fill(strides, 1);
    String first =
        "slice(%s, " + text(starts) + ", " + x.shape().with(dim, k) + ", " + text(strides) + ")";
    return List.of(
        Kernel.of(
            "aten::sort.values_stable(x0, &true, %d, true, t0:%s, t1:%s)"
                .formatted(dim, x, x.with(DataType.I64)),
            "weft::copy(y0, " + first.formatted("t0") + ")",
            "weft::copy(y1, " + first.formatted("t1") + ")"));
  }

  private static String text(long[] values) {
    return Arrays.toString(values).replace(" ", "");
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
    List<TensorType> types = infer(List.of(x.type()));
    int[] places = Ordering.places(x, dim, true, (int) k);
    return List.of(
        Gathering.pick(x, types.getFirst().shape(), i -> places[i]),
        Literal.of(types.get(1), Ordering.indices(x, dim, places)));
  }

  @Override
  public boolean splits(String factor, List<TensorType> inputs) {
    return factor.equals("t");
  }

  /** The largest of each part, and of these the largest of all. */
  @Override
  public List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs) {
    Tensor x = inputs.getFirst();
    long own = Math.min(k, part.room());
    Tensor index = Tensor.iota(x.builder(), x.type().with(DataType.I64), dim).plus(part.start());
    // What lies behind the end may never be chosen before anything else: it stands last of equals.
    double least =
        x.dtype().isFloat()
            ? Double.NEGATIVE_INFINITY
            : x.dtype() == DataType.I32 ? Integer.MIN_VALUE : Long.MIN_VALUE;
    Tensor inside = index.less(part.end());
    Tensor known = Tensor.where(inside, x, x.filled(least));
    List<Tensor> best = Tensor.apply(new TopK(dim, own), List.of(known));
    Tensor places = Tensor.one(new Gather(dim), index, best.get(1));
    Tensor values = part.gathered(best.get(0), dim);
    Tensor indices = part.gathered(places, dim);
    // Parts stand in the order of their indices, so of equals the first is that of the lowest one.
    List<Tensor> chosen = Tensor.apply(new TopK(dim, k), List.of(values));
    return List.of(chosen.get(0), Tensor.one(new Gather(dim), indices, chosen.get(1)));
  }
}
