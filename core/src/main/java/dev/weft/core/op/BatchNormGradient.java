package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.List;

/**
 * The gradient of {@link BatchNorm}. Inputs: the output's cotangent, x, mean, one over the standard
 * deviation, scale. Outputs: the gradients by x, scale and shift.
 */
public record BatchNormGradient() implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          BatchNormGradient.class,
          Example.of(
              new BatchNormGradient(),
              Example.f32(2, 3, 3, 2),
              Example.f32(2, 3, 3, 2),
              Example.f32(3),
              Example.positive(3),
              Example.f32(3)),
          Example.of(
              new BatchNormGradient(),
              Example.f32(4, 3),
              Example.f32(4, 3),
              Example.f32(3),
              Example.positive(3),
              Example.f32(3)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 5);
    Check.isFloat(this, inputs, 1);
    TensorType x = inputs.get(1);
    Check.require(x.rank() >= 2, this, inputs, "argument 1 needs a batch and channels");
    Check.type(this, inputs, 0, x);
    TensorType channels = BatchNorm.channels(x);
    for (int i = 2; i < 5; i++) {
      Check.type(this, inputs, i, channels);
    }
    return List.of(x, channels, channels);
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return BatchNorm.factors(
        inputs.get(1).rank(),
        List.of(true, true, false, false, false),
        List.of(true, false, false));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(12.0 * inputs.get(1).elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    TensorType x = inputs.get(1);
    if (x.elements() == 0 || x.dtype() == DataType.F16) {
      return List.of();
    }
    return List.of(
        Kernel.of(
            "aten::native_batch_norm_backward(contiguous(x0), contiguous(x1), &contiguous(x4),"
                + " none, none, &contiguous(x2), &contiguous(x3), true, 0.0, [true,true,true]) ->"
                + " y0, y1, y2"));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.get(1);
    Tensor scale = inputs.get(4);
    Shape shape = x.shape();
    List<Integer> channel = List.of(1);
    List<Integer> others = BatchNorm.others(x.rank());
    Tensor dy = inputs.get(0).cast(scale.dtype());
    Tensor normal = BatchNorm.normal(x, inputs.get(2), inputs.get(3));
    Tensor ofShift = dy.sum(others);
    Tensor ofScale = dy.times(normal).sum(others);
    double share = BatchNorm.share(x.type());
    Tensor level = ofShift.times(share).broadcast(shape, channel);
    Tensor slope = ofScale.times(share).broadcast(shape, channel);
    Tensor factor = inputs.get(3).times(scale).broadcast(shape, channel);
    Tensor dx = dy.minus(level).minus(normal.times(slope)).times(factor);
    return List.of(dx.cast(x.dtype()), ofScale, ofShift);
  }
}
