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
 * Normalises each channel over the batch and its spatial dims to mean 0 and variance 1, then scales
 * and shifts it, by the statistics of x itself (Ioffe and Szegedy, Batch Normalization, algorithm
 * 1). Inputs: x [n, c, spatial...], scale [c], shift [c], these two f32 (f64 for f64). Outputs: the
 * result, and per channel the mean and one over the standard deviation, [c], f32 (f64 for f64).
 *
 * <p>Two further inputs, where they are given, are the averages of mean and variance over training,
 * of scale's type. Nothing is computed from them, but they have a gradient: by definition that of
 * half the square of their distance from what is seen here, average less observation. The variance
 * seen is that of a sample, n / (n - 1) times the mean square (algorithm 2, line 10).
 *
 * @param epsilon what is added to the variance
 */
public record BatchNorm(double epsilon) implements Composite {
  private static final int INPUTS = 3;
  private static final int WITH_AVERAGES = 5;

  static final OpEntry ENTRY =
      OpEntry.of(
          BatchNorm.class,
          Example.of(new BatchNorm(1e-5), Example.f32(2, 3, 3, 2), Example.f32(3), Example.f32(3)),
          Example.of(new BatchNorm(1e-3), Example.f32(4, 3), Example.f32(3), Example.f32(3)),
          Example.of(
              new BatchNorm(1e-5),
              Example.f32(2, 4, 3),
              Example.f32(4),
              Example.f32(4),
              Example.f32(4),
              Example.positive(4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.require(
        inputs.size() == INPUTS || inputs.size() == WITH_AVERAGES,
        this,
        inputs,
        "expected 3 arguments, or 5 with averages");
    Check.isFloat(this, inputs, 0);
    TensorType x = inputs.getFirst();
    Check.require(x.rank() >= 2, this, inputs, "argument 0 needs a batch and channels");
    TensorType channels = channels(x);
    for (int i = 1; i < inputs.size(); i++) {
      Check.type(this, inputs, i, channels);
    }
    return List.of(x, channels, channels);
  }

  /** The type of what each channel has one of. */
  static TensorType channels(TensorType x) {
    return TensorType.of(CrossEntropy.wide(x.dtype()), x.size(1));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    var isX = new ArrayList<Boolean>();
    for (int i = 0; i < inputs.size(); i++) {
      isX.add(i == 0);
    }
    return factors(inputs.getFirst().rank(), isX, List.of(true, false, false));
  }

  /**
   * Channels may be split, all else stays whole.
   *
   * @param inputs whether each is like x; others have a number for each channel
   * @param outputs likewise
   */
  static Factors factors(int rank, List<Boolean> inputs, List<Boolean> outputs) {
    List<List<String>> x = Factors.named("d", rank);
    List<List<String>> channels = List.of(x.get(1));
    Factors factors =
        new Factors(
            inputs.stream().map(isX -> isX ? x : channels).toList(),
            outputs.stream().map(isX -> isX ? x : channels).toList(),
            Map.of());
    for (int dim : others(rank)) {
      factors = factors.mark("d" + dim, Factors.Mark.WHOLE);
    }
    return factors;
  }

  /** All dims but that of channels. */
  static List<Integer> others(int rank) {
    var others = new ArrayList<Integer>();
    for (int dim = 0; dim < rank; dim++) {
      if (dim != 1) {
        others.add(dim);
      }
    }
    return others;
  }

  /** One over the elements of a channel. */
  static double share(TensorType x) {
    return (double) x.size(1) / Math.max(1, x.elements());
  }

  /** x with mean 0 and variance 1 in each channel, in the type of the statistics. */
  static Tensor normal(Tensor x, Tensor mean, Tensor deviation) {
    List<Integer> channel = List.of(1);
    return x.cast(mean.dtype())
        .minus(mean.broadcast(x.shape(), channel))
        .times(deviation.broadcast(x.shape(), channel));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(
        8.0 * inputs.getFirst().elements(), inputs.subList(0, INPUTS), infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    TensorType x = inputs.getFirst();
    if (x.elements() == 0 || x.dtype() == DataType.F16) {
      return List.of();
    }
    return List.of(
        Kernel.of(
            "aten::native_batch_norm.out(contiguous(x0), &contiguous(x1), &contiguous(x2), none, none, true, 0.1, %s, y0, y1, y2)"
                .formatted(epsilon)));
  }

  @Override
  public boolean definesGradient(int input) {
    return input >= INPUTS;
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    Tensor mean = adjoint.output(1);
    Tensor deviation = adjoint.output(2);
    List<Tensor> found =
        Tensor.apply(
            new BatchNormGradient(),
            List.of(adjoint.cotangent(), x, mean, deviation, adjoint.input(1)));
    var gradients = new ArrayList<@Nullable Tensor>();
    gradients.add(throughStatistics(adjoint, found.getFirst()));
    gradients.addAll(found.subList(1, found.size()));
    if (adjoint.inputs().size() == WITH_AVERAGES) {
      double elements = 1 / share(x.type());
      Tensor square = deviation.times(deviation);
      Tensor variance = square.filled(1).dividedBy(square).minus(epsilon);
      Tensor sample = variance.times(elements / Math.max(1, elements - 1));
      gradients.add(adjoint.input(3).minus(mean));
      gradients.add(adjoint.input(4).minus(sample));
    }
    return gradients;
  }

  /** Adds to the gradient by x what comes from the other outputs. */
  private static Tensor throughStatistics(Adjoint adjoint, Tensor gradient) {
    Tensor x = adjoint.input(0);
    Tensor deviation = adjoint.output(2);
    double share = share(x.type());
    List<Integer> channel = List.of(1);
    Tensor sum = gradient;
    Tensor ofMean = adjoint.cotangents().get(1);
    if (ofMean != null) {
      sum = sum.plus(ofMean.times(share).broadcast(x.shape(), channel).cast(x.dtype()));
    }
    Tensor ofDeviation = adjoint.cotangents().get(2);
    if (ofDeviation != null) {
      Tensor slope = ofDeviation.times(deviation).times(deviation).times(-share);
      Tensor normal = normal(x, adjoint.output(1), deviation);
      sum = sum.plus(normal.times(slope.broadcast(x.shape(), channel)).cast(x.dtype()));
    }
    return sum;
  }

  /** Sums, not means, so that parts of what is normalised can be added up. */
  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Tensor exact = x.cast(CrossEntropy.wide(x.dtype()));
    List<Integer> others = others(x.rank());
    List<Integer> channel = List.of(1);
    double share = share(x.type());
    Tensor mean = exact.sum(others).times(share);
    Tensor centred = exact.minus(mean.broadcast(x.shape(), channel));
    Tensor deviation = centred.times(centred).sum(others).times(share).plus(epsilon).rsqrt();
    Tensor normal = centred.times(deviation.broadcast(x.shape(), channel));
    Tensor scaled = normal.times(inputs.get(1).broadcast(x.shape(), channel));
    Tensor y = scaled.plus(inputs.get(2).broadcast(x.shape(), channel));
    return List.of(y.cast(x.dtype()), mean, deviation);
  }
}
