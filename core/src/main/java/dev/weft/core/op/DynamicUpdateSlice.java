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
 * A tensor with a run of indices along a dim replaced, from an index (i64 scalar) on that is known
 * only when it runs; it is moved inwards where the run would leave the tensor. Inputs: tensor,
 * update, index.
 */
public record DynamicUpdateSlice(int dim) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          DynamicUpdateSlice.class,
          Example.of(
              new DynamicUpdateSlice(1), Example.f32(3, 4), Example.f32(3, 2), Example.indices(5)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 3);
    TensorType x = inputs.getFirst();
    Check.require(
        dim >= 0 && dim < x.rank() && inputs.get(1).rank() == x.rank(),
        this,
        inputs,
        "the update must have the tensor's rank, and dim " + dim + " must exist");
    long size = inputs.get(1).size(dim);
    Check.type(this, inputs, 1, x.with(x.shape().with(dim, size)));
    Check.type(this, inputs, 2, TensorType.scalar(DataType.I64));
    Check.require(size <= x.size(dim), this, inputs, "the update is longer than the tensor");
    return List.of(x);
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var whole = new ArrayList<>(Factors.named("d", inputs.getFirst().rank()));
    var part = new ArrayList<>(whole);
    whole.set(dim, List.of("i"));
    part.set(dim, List.of("u"));
    return new Factors(
        List.of(whole, part, List.of()),
        List.of(whole),
        Map.of("i", Factors.Mark.WHOLE, "u", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("weft::dynamic_update_slice(y0, x1, x2, " + dim + ")").mutating(0, 0));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor dy = adjoint.cotangent();
    Tensor update = adjoint.input(1);
    Tensor index = adjoint.input(2);
    return Arrays.asList(
        Tensor.one(this, dy, update.filled(0), index),
        Tensor.one(new DynamicSlice(dim, update.size(dim)), dy, index),
        null);
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal x = inputs.get(0);
    Literal update = inputs.get(1);
    long size = update.type().size(dim);
    long start = Math.clamp(inputs.get(2).longs()[0], 0, x.type().size(dim) - size);
    int inner = (int) x.shape().product(dim + 1, x.type().rank());
    int outer = (int) x.shape().product(0, dim);
    boolean floats = x.type().dtype().isFloat();
    Object y = floats ? x.doubles().clone() : x.longs().clone();
    Object from = floats ? update.doubles() : update.longs();
    int run = (int) size * inner;
    for (int o = 0; o < outer; o++) {
      int position = o * (int) x.type().size(dim) * inner + (int) start * inner;
      System.arraycopy(from, o * run, y, position, run);
    }
    return List.of(floats ? Literal.of(x.type(), (double[]) y) : Literal.of(x.type(), (long[]) y));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0, 1));
  }
}
