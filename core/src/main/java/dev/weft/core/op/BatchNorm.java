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
 * Normalises each channel over the batch and its spatial dims to mean 0 and variance 1, then scales
 * and shifts it, by the statistics of x itself (Ioffe and Szegedy, Batch Normalization, algorithm
 * 1). Inputs: x [n, c, spatial...], scale [c], shift [c], these two f32 (f64 for f64). Outputs: the
 * result, and per channel the mean and one over the standard deviation, [c], f32 (f64 for f64).
 *
 * @param epsilon what is added to the variance
 */
public record BatchNorm(double epsilon) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          BatchNorm.class,
          Example.of(new BatchNorm(1e-5), Example.f32(2, 3, 3, 2), Example.f32(3), Example.f32(3)),
          Example.of(new BatchNorm(1e-3), Example.f32(4, 3), Example.f32(3), Example.f32(3)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 3);
    Check.isFloat(this, inputs, 0);
    TensorType x = inputs.getFirst();
    Check.require(x.rank() >= 2, this, inputs, "argument 0 needs a batch and channels");
    TensorType channels = TensorType.of(CrossEntropy.wide(x.dtype()), x.size(1));
    Check.type(this, inputs, 1, channels);
    Check.type(this, inputs, 2, channels);
    return List.of(x, channels, channels);
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> x = Factors.named("d", inputs.getFirst().rank());
    List<List<String>> channels = List.of(x.get(1));
    Factors factors =
        new Factors(List.of(x, channels, channels), List.of(x, channels, channels), Map.of());
    for (int dim : others(x.size())) {
      factors = factors.mark("d" + dim, Factors.Mark.WHOLE);
    }
    return factors;
  }

  /** All dims but that of channels. */
  private static List<Integer> others(int rank) {
    var others = new ArrayList<Integer>();
    for (int dim = 0; dim < rank; dim++) {
      if (dim != 1) {
        others.add(dim);
      }
    }
    return others;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(8.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    TensorType x = inputs.getFirst();
    if (x.elements() == 0 || x.dtype() == DataType.F16) {
      return List.of();
    }
    return List.of(
        Kernel.of(
            "aten::native_batch_norm.out(x0, &x1, &x2, none, none, true, 0.1, %s, y0, y1, y2)"
                .formatted(epsilon)));
  }

  /** Sums, not means, so that parts of what is normalised can be added up. */
  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Tensor exact = x.cast(CrossEntropy.wide(x.dtype()));
    List<Integer> others = others(x.rank());
    List<Integer> channel = List.of(1);
    double share = (double) x.size(1) / Math.max(1, x.shape().elements());
    Tensor mean = exact.sum(others).times(share);
    Tensor centred = exact.minus(mean.broadcast(x.shape(), channel));
    Tensor deviation = centred.times(centred).sum(others).times(share).plus(epsilon).rsqrt();
    Tensor normal = centred.times(deviation.broadcast(x.shape(), channel));
    Tensor scaled = normal.times(inputs.get(1).broadcast(x.shape(), channel));
    Tensor y = scaled.plus(inputs.get(2).broadcast(x.shape(), channel));
    return List.of(y.cast(x.dtype()), mean, deviation);
  }
}
