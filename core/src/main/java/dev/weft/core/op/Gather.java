package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Folding;
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
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Elements taken along a dim: element [i, j] of the output is element [index[i, j], j] of the
 * tensor for dim 0. Inputs: tensor, index (i64, of the same rank, other dims at most as long).
 */
public record Gather(int dim) implements Primitive, SelfSplitting {
  static final OpEntry ENTRY =
      OpEntry.of(
          Gather.class,
          Example.of(new Gather(1), Example.f32(3, 4), Example.indices(4, 3, 2)),
          Example.of(new Gather(0), Example.f32(5, 4), Example.indices(5, 2, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    TensorType x = inputs.getFirst();
    TensorType index = inputs.get(1);
    Check.require(dim >= 0 && dim < x.rank(), this, inputs, "dim " + dim + " does not exist");
    Check.rank(this, inputs, 1, x.rank());
    Check.type(this, inputs, 1, new TensorType(DataType.I64, x.shape().with(dim, index.size(dim))));
    return List.of(x.with(index.shape()));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var from = new ArrayList<>(Factors.named("d", inputs.getFirst().rank()));
    var to = new ArrayList<>(from);
    from.set(dim, List.of("i"));
    return new Factors(List.of(from, to), List.of(to), Map.of("i", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return new Cost(0, 2.0 * infer(inputs).getFirst().bytes() + inputs.get(1).bytes());
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("aten::gather.out(x0, " + dim + ", x1, false, y0)"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Arrays.asList(
        Tensor.one(
            new ScatterAdd(dim), adjoint.input(0).filled(0), adjoint.input(1), adjoint.cotangent()),
        null);
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.get(0);
    int[] from = ScatterAdd.positions(this, dim, x.shape(), inputs.get(1));
    return List.of(Gathering.pick(x, inputs.get(1).shape(), i -> from[i]));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }

  @Override
  public boolean splits(String factor, List<TensorType> inputs) {
    return factor.equals("i");
  }

  /** Elements that lie in the part; zeros for the others. */
  @Override
  public List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs) {
    Embedding.Local local = Embedding.Local.of(part, inputs.get(1));
    Tensor taken = Tensor.one(this, inputs.get(0), local.index());
    return List.of(Tensor.where(local.inside(), taken, taken.filled(0)));
  }

  @Override
  public Optional<Folding> outstanding(String factor, int output, List<TensorType> inputs) {
    return Optional.of(Folding.SUM);
  }
}
