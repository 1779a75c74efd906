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
import org.jspecify.annotations.Nullable;

/**
 * Normalises the last dim to mean 0 and variance 1, then scales and shifts it. Inputs: x [..., h],
 * scale [h], shift [h], these two of x's type or f32. Outputs: the result, and per row the mean and
 * one over the standard deviation, [..., 1], f32 (f64 for f64).
 *
 * @param epsilon what is added to the variance
 */
public record LayerNorm(double epsilon) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          LayerNorm.class,
          Example.of(new LayerNorm(1e-5), Example.f32(2, 3, 8), Example.f32(8), Example.f32(8)),
          Example.of(new LayerNorm(1e-5), Example.f32(1, 8), Example.f32(8), Example.f32(8)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 3);
    Check.isFloat(this, inputs, 0);
    TensorType x = inputs.getFirst();
    Check.require(x.rank() >= 1, this, inputs, "argument 0 needs a dim to normalise");
    for (int i = 1; i <= 2; i++) {
      DataType dtype = inputs.get(i).dtype();
      boolean fits = dtype == x.dtype() || dtype == CrossEntropy.wide(x.dtype());
      Check.type(this, inputs, i, TensorType.of(fits ? dtype : x.dtype(), x.size(-1)));
    }
    Check.type(this, inputs, 2, inputs.get(1));
    TensorType row = new TensorType(CrossEntropy.wide(x.dtype()), x.shape().with(-1, 1));
    return List.of(x, row, row);
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var x = new ArrayList<>(Factors.named("d", inputs.getFirst().rank() - 1));
    var row = new ArrayList<List<String>>(x);
    x.add(List.of("h"));
    row.add(List.of());
    List<List<String>> scale = List.of(List.of("h"));
    return new Factors(
        List.of(x, scale, scale), List.of(x, row, row), Map.of("h", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(8.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    if (kind == DeviceKind.CPU && isSmallRow(inputs)) {
      return List.of(Kernel.of("weft::layer_norm(y0, y1, y2, x0, x1, x2, %s)".formatted(epsilon)));
    }
    return List.of(
        Kernel.of(
            "aten::native_layer_norm(x0, [%d], &x1, &x2, %s) -> y0, y1, y2"
                .formatted(inputs.getFirst().size(-1), epsilon)));
  }

  /**
   * A row by itself, as the decoding of a token has it: a call of a library takes longer than it.
   */
  private static boolean isSmallRow(List<TensorType> inputs) {
    TensorType x = inputs.getFirst();
    return x.elements() == x.size(-1)
        && x.elements() <= 1024
        && inputs.stream().allMatch(t -> t.dtype() == DataType.F32 || t.dtype() == DataType.BF16);
  }

  @Override
  public @Nullable List<@Nullable Tensor> gradient(Adjoint adjoint) {
    if (adjoint.cotangents().get(1) != null || adjoint.cotangents().get(2) != null) {
      return null;
    }
    List<Tensor> results =
        Tensor.apply(
            new LayerNormGradient(),
            List.of(
                adjoint.cotangent(),
                adjoint.input(0),
                adjoint.output(1),
                adjoint.output(2),
                adjoint.input(1)));
    return new ArrayList<>(results);
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    DataType wide = CrossEntropy.wide(x.dtype());
    Tensor exact = x.cast(wide);
    List<Integer> last = List.of(x.rank() - 1);
    var row = x.shape().with(-1, 1);
    Tensor mean = exact.mean(last).reshape(row);
    Tensor centred = exact.minus(mean);
    Tensor deviation = centred.times(centred).mean(last).reshape(row).plus(epsilon).rsqrt();
    Tensor normal = centred.times(deviation);
    Tensor y = normal.times(inputs.get(1).cast(wide)).plus(inputs.get(2).cast(wide));
    return List.of(y.cast(x.dtype()), mean, deviation);
  }
}
