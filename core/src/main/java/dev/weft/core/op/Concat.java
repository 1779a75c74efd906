package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Tensors joined along a dim.
 *
 * @param dim the dim, in which sizes may differ
 */
public record Concat(int dim) implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Concat.class,
          Example.of(new Concat(1), Example.f32(3, 4), Example.f32(3, 2), Example.f32(3, 1)),
          Example.of(new Concat(0), Example.f32(2, 4), Example.f32(4, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.require(!inputs.isEmpty(), this, inputs, "expected at least one argument");
    TensorType first = inputs.getFirst();
    Check.require(dim >= 0 && dim < first.rank(), this, inputs, "dim " + dim + " does not exist");
    long size = 0;
    for (int i = 0; i < inputs.size(); i++) {
      Check.rank(this, inputs, i, first.rank());
      Check.type(this, inputs, i, first.with(first.shape().with(dim, inputs.get(i).size(dim))));
      size += inputs.get(i).size(dim);
    }
    return List.of(first.with(first.shape().with(dim, size)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    int rank = inputs.getFirst().rank();
    var sides = new ArrayList<List<List<String>>>();
    Factors marks = new Factors(List.of(), List.of(), Map.of());
    for (int i = 0; i <= inputs.size(); i++) {
      var dims = new ArrayList<>(Factors.named("d", rank));
      dims.set(dim, List.of("j" + i));
      marks = marks.mark("j" + i, Factors.Mark.WHOLE);
      sides.add(dims);
    }
    return new Factors(sides.subList(0, inputs.size()), List.of(sides.getLast()), marks.marks());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    Shape whole = infer(inputs).getFirst().shape();
    var calls = new ArrayList<String>();
    long start = 0;
    for (int i = 0; i < inputs.size(); i++) {
      long[] starts = new long[whole.rank()];
      long[] limits = whole.sizes();
      long[] ones = new long[whole.rank()];
      Arrays.fill(ones, 1);
      starts[dim] = start;
      start += inputs.get(i).size(dim);
      limits[dim] = start;
      calls.add(
          "weft::copy(slice(y0,%s,%s,%s), x%d)"
              .formatted(
                  Arrays.toString(starts), Arrays.toString(limits), Arrays.toString(ones), i));
    }
    return List.of(Kernel.of(calls.toArray(String[]::new)));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    var parts = new ArrayList<@Nullable Tensor>();
    long start = 0;
    for (Tensor input : adjoint.inputs()) {
      parts.add(adjoint.cotangent().slice(dim, start, start + input.size(dim)));
      start += input.size(dim);
    }
    return parts;
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    TensorType type = infer(inputs.stream().map(Literal::type).toList()).getFirst();
    Literal y = Literal.filled(type, 0);
    int outer = (int) type.shape().product(0, dim);
    int inner = (int) type.shape().product(dim + 1, type.rank());
    int whole = (int) type.size(dim) * inner;
    int offset = 0;
    for (Literal x : inputs) {
      int run = (int) x.type().size(dim) * inner;
      for (int o = 0; o < outer; o++) {
        Object from = type.dtype().isFloat() ? x.doubles() : x.longs();
        Object to = type.dtype().isFloat() ? y.doubles() : y.longs();
        System.arraycopy(from, o * run, to, o * whole + offset, run);
      }
      offset += run;
    }
    return List.of(y);
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(java.util.stream.IntStream.range(0, inputs.size()).boxed().toList());
  }
}
