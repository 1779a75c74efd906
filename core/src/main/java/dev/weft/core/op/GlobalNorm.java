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

/** The square root of the sum of the squares of all elements of all inputs, an f32 scalar. */
public record GlobalNorm() implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          GlobalNorm.class,
          Example.of(new GlobalNorm(), Example.f32(3, 4), Example.f32(5), Example.f32()));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.require(!inputs.isEmpty(), this, inputs, "expected at least one argument");
    for (int i = 0; i < inputs.size(); i++) {
      Check.isFloat(this, inputs, i);
    }
    return List.of(TensorType.scalar(DataType.F32));
  }

  /** A norm of parts is no norm of the whole: the expansion, sums of squares, is what is split. */
  @Override
  public Factors factors(List<TensorType> inputs) {
    var sides = new ArrayList<List<List<String>>>();
    Factors marks = new Factors(List.of(), List.of(), Map.of());
    for (int i = 0; i < inputs.size(); i++) {
      sides.add(Factors.named("i" + i + "d", inputs.get(i).rank()));
      for (int dim = 0; dim < inputs.get(i).rank(); dim++) {
        marks = marks.mark("i" + i + "d" + dim, Factors.Mark.WHOLE);
      }
    }
    return new Factors(sides, List.of(List.of()), marks.marks());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    double elements = inputs.stream().mapToDouble(TensorType::elements).sum();
    return Cost.streaming(2 * elements, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    if (inputs.stream().anyMatch(t -> t.dtype() != DataType.F32)) {
      return List.of();
    }
    var calls = new ArrayList<String>();
    for (int i = 0; i < inputs.size(); i++) {
      long n = inputs.get(i).elements();
      String slots = i == 0 ? "t0:f32[" + inputs.size() + "]" : "t0";
      calls.add(
          "aten::dot.out(view(x%d, [%d]), view(x%d, [%d]), view(slice(%s, [%d], [%d], [1]), []))"
              .formatted(i, n, i, n, slots, i, i + 1));
    }
    calls.add("aten::sum.IntList_out(t0, &[0], false, none, y0)");
    calls.add("aten::sqrt.out(y0, y0)");
    return List.of(Kernel.of(calls.toArray(String[]::new)));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor total = null;
    for (Tensor input : inputs) {
      Tensor squares = Tensor.one(new SumSquares(), input);
      total = total == null ? squares : total.plus(squares);
    }
    return List.of(java.util.Objects.requireNonNull(total).sqrt());
  }
}
