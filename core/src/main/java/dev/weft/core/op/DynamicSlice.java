package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A run of indices along a dim, from one that is known only when it runs (i64 scalar); it is moved
 * inwards where the run would leave the tensor.
 */
public record DynamicSlice(int dim, long size) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          DynamicSlice.class,
          Example.of(new DynamicSlice(1, 2), Example.f32(3, 4), Example.indices(5)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.type(this, inputs, 1, TensorType.scalar(DataType.I64));
    TensorType x = inputs.getFirst();
    Check.require(
        dim >= 0 && dim < x.rank() && size >= 0 && size <= x.size(dim),
        this,
        inputs,
        size + " indices of dim " + dim + " do not exist");
    return List.of(x.with(x.shape().with(dim, size)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var from = new ArrayList<>(Factors.named("d", inputs.getFirst().rank()));
    var to = new ArrayList<>(from);
    from.set(dim, List.of("i"));
    to.set(dim, List.of("o"));
    return new Factors(
        List.of(from, List.of()),
        List.of(to),
        Map.of("i", Factors.Mark.WHOLE, "o", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    double bytes = 2.0 * infer(inputs).getFirst().bytes();
    return new Cost(0, bytes);
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("weft::dynamic_slice(y0, x0, x1, " + dim + ")"));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor zeros = adjoint.input(0).filled(0);
    return Arrays.asList(
        Tensor.one(new DynamicUpdateSlice(dim), zeros, adjoint.cotangent(), adjoint.input(1)),
        null);
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.getFirst();
    long start = Math.clamp(inputs.get(1).longs()[0], 0, x.type().size(dim) - size);
    Strided dense = Strided.dense(x.shape());
    return List.of(
        Gathering.strided(
            x,
            new Strided(x.shape().with(dim, size), dense.strides(), dense.strides()[dim] * start)));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0));
  }
}
