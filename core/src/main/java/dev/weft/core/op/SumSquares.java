package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;
import java.util.Map;

/**
 * The sum of the squares of all elements, an f32 scalar. No square is written anywhere; where the
 * input is split, each device has its part of the sum.
 */
public record SumSquares() implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          SumSquares.class,
          Example.of(new SumSquares(), Example.f32(3, 4)),
          Example.of(new SumSquares(), Example.f32(5)),
          Example.of(new SumSquares(), Example.f32()));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.isFloat(this, inputs, 0);
    return List.of(TensorType.scalar(DataType.F32));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return new Factors(
        List.of(Factors.named("d", inputs.getFirst().rank())), List.of(List.of()), Map.of());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(2.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    TensorType input = inputs.getFirst();
    if (input.dtype() != DataType.F32) {
      return List.of();
    }
    long n = input.elements();
    return List.of(Kernel.of("aten::dot.out(view(x0, [%d]), view(x0, [%d]), y0)".formatted(n, n)));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor exact = inputs.getFirst().cast(DataType.F32);
    return List.of(exact.times(exact).sum());
  }
}
