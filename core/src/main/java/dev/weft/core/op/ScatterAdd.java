package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A tensor with updates added along a dim: element [index[i, j], j] grows by update [i, j] for dim
 * 0. Inputs: tensor, index (i64), updates of the index's shape.
 */
public record ScatterAdd(int dim) implements Primitive, SelfSplitting {
  static final OpEntry ENTRY =
      OpEntry.of(
          ScatterAdd.class,
          Example.of(
              new ScatterAdd(1), Example.f32(3, 4), Example.indices(4, 3, 6), Example.f32(3, 6)),
          Example.of(
              new ScatterAdd(0), Example.f32(5, 4), Example.indices(5, 7, 4), Example.f32(7, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 3);
    TensorType x = inputs.getFirst();
    TensorType index = inputs.get(1);
    Check.require(dim >= 0 && dim < x.rank(), this, inputs, "dim " + dim + " does not exist");
    Check.dtype(this, inputs, 0, d -> d != DataType.BOOL, "numbers");
    Check.rank(this, inputs, 1, x.rank());
    Check.type(this, inputs, 1, new TensorType(DataType.I64, x.shape().with(dim, index.size(dim))));
    Check.type(this, inputs, 2, x.with(index.shape()));
    return List.of(x);
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var base = new ArrayList<>(Factors.named("d", inputs.getFirst().rank()));
    var update = new ArrayList<>(base);
    base.set(dim, List.of("i"));
    update.set(dim, List.of("u"));
    return new Factors(
        List.of(base, update, update),
        List.of(base),
        Map.of("i", Factors.Mark.WHOLE, "u", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(inputs.get(2).elements(), inputs, List.of());
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("aten::scatter_add.out(y0, " + dim + ", x1, x2, y0)").mutating(0, 0));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Arrays.asList(
        adjoint.cotangent(),
        null,
        Tensor.one(new Gather(dim), adjoint.cotangent(), adjoint.input(1)));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.get(0);
    int[] to = positions(this, dim, x.shape(), inputs.get(1));
    if (x.type().dtype().isFloat()) {
      double[] y = x.doubles().clone();
      for (int i = 0; i < to.length; i++) {
        y[to[i]] += inputs.get(2).doubles()[i];
      }
      return List.of(Literal.of(x.type(), y));
    }
    long[] y = x.longs().clone();
    for (int i = 0; i < to.length; i++) {
      y[to[i]] += inputs.get(2).longs()[i];
    }
    return List.of(Literal.of(x.type(), y));
  }

  /** Where in a dense tensor each index points. */
  static int[] positions(Op op, int dim, Shape shape, Literal index) {
    long[] sizes = index.shape().sizes();
    long[] strides = shape.strides();
    int[] positions = new int[index.elements()];
    for (int i = 0; i < positions.length; i++) {
      long along = index.longs()[i];
      if (along < 0 || along >= shape.size(dim)) {
        throw new UserException(
            op.name() + ": index " + along + " is outside of 0 to " + (shape.size(dim) - 1));
      }
      long rest = i;
      long position = along * strides[dim];
      for (int d = sizes.length - 1; d >= 0; d--) {
        if (d != dim) {
          position += rest % sizes[d] * strides[d];
        }
        rest /= sizes[d];
      }
      positions[i] = Math.toIntExact(position);
    }
    return positions;
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0, 2));
  }

  @Override
  public boolean splits(String factor, List<TensorType> inputs) {
    return true;
  }

  @Override
  public boolean adds(String factor) {
    return factor.equals("u");
  }

  /** A part of the base adds what falls into it. */
  @Override
  public List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs) {
    Tensor updates = inputs.get(2);
    Embedding.Local local = Embedding.Local.of(part, inputs.get(1));
    Tensor own = Tensor.where(local.inside(), updates, updates.filled(0));
    return List.of(Tensor.one(this, inputs.get(0), local.index(), own));
  }
}
