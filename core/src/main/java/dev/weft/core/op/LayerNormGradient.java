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

/**
 * The gradient of {@link LayerNorm}. Inputs: the output's cotangent, x, mean, one over the standard
 * deviation, scale. Outputs: the gradients by x, scale and shift.
 */
public record LayerNormGradient() implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          LayerNormGradient.class,
          Example.of(
              new LayerNormGradient(),
              Example.f32(2, 3, 8),
              Example.f32(2, 3, 8),
              Example.f32(2, 3, 1),
              Example.positive(2, 3, 1),
              Example.f32(8)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 5);
    Check.isFloat(this, inputs, 1);
    TensorType x = inputs.get(1);
    Check.require(x.rank() >= 1, this, inputs, "argument 1 needs a dim to normalise");
    Check.type(this, inputs, 0, x);
    TensorType row = new TensorType(CrossEntropy.wide(x.dtype()), x.shape().with(-1, 1));
    Check.type(this, inputs, 2, row);
    Check.type(this, inputs, 3, row);
    DataType dtype = inputs.get(4).dtype();
    boolean fits = dtype == x.dtype() || dtype == row.dtype();
    Check.type(this, inputs, 4, TensorType.of(fits ? dtype : x.dtype(), x.size(-1)));
    return List.of(x, inputs.get(4), inputs.get(4));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var x = new ArrayList<>(Factors.named("d", inputs.getFirst().rank() - 1));
    var row = new ArrayList<List<String>>(x);
    x.add(List.of("h"));
    row.add(List.of());
    List<List<String>> scale = List.of(List.of("h"));
    return new Factors(
        List.of(x, x, row, row, scale), List.of(x, scale, scale), Map.of("h", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(14.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(
        Kernel.of(
            "aten::native_layer_norm_backward(contiguous(x0), contiguous(x1), [%d], contiguous(x2), contiguous(x3), &contiguous(x4), &contiguous(x4), [true,true,true]) -> y0, y1, y2"
                .formatted(inputs.getFirst().size(-1))));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.get(1);
    DataType wide = CrossEntropy.wide(x.dtype());
    Tensor dy = inputs.get(0).cast(wide);
    Tensor scale = inputs.get(4);
    int last = x.rank() - 1;
    var row = x.shape().with(-1, 1);
    var outer = new ArrayList<Integer>();
    for (int dim = 0; dim < last; dim++) {
      outer.add(dim);
    }
    Tensor normal = x.cast(wide).minus(inputs.get(2)).times(inputs.get(3));
    Tensor scaled = dy.times(scale.cast(wide));
    Tensor mean = scaled.mean(List.of(last)).reshape(row);
    Tensor slope = scaled.times(normal).mean(List.of(last)).reshape(row);
    Tensor dx = scaled.minus(mean).minus(normal.times(slope)).times(inputs.get(3));
    return List.of(
        dx.cast(x.dtype()),
        dy.times(normal).sum(outer).cast(scale.dtype()),
        dy.sum(outer).cast(scale.dtype()));
  }
}
