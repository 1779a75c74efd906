package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Normalises groups of channels, with all their spatial dims, to mean 0 and variance 1, then scales
 * and shifts each channel (Wu and He, Group Normalization). Inputs: x [n, c, spatial...], scale
 * [c], shift [c], these two f32 (f64 for f64). Outputs: the result, and per group the mean and one
 * over the standard deviation, [n, groups], f32 (f64 for f64).
 *
 * @param groups how many groups of neighbouring channels; must divide c
 * @param epsilon what is added to the variance
 */
public record GroupNorm(long groups, double epsilon) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          GroupNorm.class,
          Example.of(
              new GroupNorm(2, 1e-5), Example.f32(2, 4, 3, 2), Example.f32(4), Example.f32(4)),
          Example.of(new GroupNorm(1, 1e-3), Example.f32(2, 3, 4), Example.f32(3), Example.f32(3)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 3);
    Check.isFloat(this, inputs, 0);
    TensorType x = inputs.getFirst();
    Check.require(x.rank() >= 2, this, inputs, "argument 0 needs a batch and channels");
    Check.require(
        groups >= 1 && x.size(1) % groups == 0 && x.size(1) > 0,
        this,
        inputs,
        "%d groups do not divide %d channels".formatted(groups, x.size(1)));
    TensorType channels = TensorType.of(CrossEntropy.wide(x.dtype()), x.size(1));
    Check.type(this, inputs, 1, channels);
    Check.type(this, inputs, 2, channels);
    TensorType statistics = TensorType.of(CrossEntropy.wide(x.dtype()), x.size(0), groups);
    return List.of(x, statistics, statistics);
  }

  /** Dims of x, of what holds a number per channel, and of what holds one per group. */
  record Sides(List<List<String>> x, List<List<String>> channels, List<List<String>> groups) {
    static Sides of(int rank) {
      var x = new ArrayList<List<String>>(List.of(List.of("n"), List.of("g", "c")));
      for (int dim = 2; dim < rank; dim++) {
        x.add(List.of("s" + dim));
      }
      return new Sides(x, List.of(List.of("g", "c")), List.of(List.of("n"), List.of("g")));
    }

    /** What is normalised over stays whole; the group count is the op's own. */
    Factors factors(List<List<List<String>>> inputs, List<List<List<String>>> outputs) {
      Factors factors = new Factors(inputs, outputs, Map.of("c", Factors.Mark.WHOLE));
      for (int dim = 2; dim < x.size(); dim++) {
        factors = factors.mark("s" + dim, Factors.Mark.WHOLE);
      }
      return factors;
    }
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    Sides sides = Sides.of(inputs.getFirst().rank());
    return sides.factors(
        List.of(sides.x(), sides.channels(), sides.channels()),
        List.of(sides.x(), sides.groups(), sides.groups()));
  }

  @Override
  public GroupNorm local(List<TensorType> outputs) {
    return new GroupNorm(outputs.get(1).size(1), epsilon);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(8.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    Shape x = inputs.getFirst().shape();
    if (x.elements() == 0) {
      return List.of();
    }
    return List.of(
        Kernel.of(
            "aten::native_group_norm(contiguous(x0), &contiguous(x1), &contiguous(x2), %d, %d, %d, %d, %s) -> y0, y1, y2"
                .formatted(x.size(0), x.size(1), x.product(2, x.rank()), groups, epsilon)));
  }

  @Override
  public @Nullable List<@Nullable Tensor> gradient(Adjoint adjoint) {
    if (adjoint.cotangents().get(1) != null || adjoint.cotangents().get(2) != null) {
      return null;
    }
    return new ArrayList<>(
        Tensor.apply(
            new GroupNormGradient(),
            List.of(
                adjoint.cotangent(),
                adjoint.input(0),
                adjoint.output(1),
                adjoint.output(2),
                adjoint.input(1))));
  }

  /** Sums, not means, so that parts of what is normalised can be added up. */
  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Tensor exact = grouped(x.cast(CrossEntropy.wide(x.dtype())), groups);
    List<Integer> inner = inner(exact);
    double share = 1.0 / exact.shape().product(2, exact.rank());
    Tensor mean = exact.sum(inner).times(share);
    Tensor centred = exact.minus(mean.broadcast(exact.shape(), List.of(0, 1)));
    Tensor variance = centred.times(centred).sum(inner).times(share);
    Tensor deviation = variance.plus(epsilon).rsqrt();
    Tensor normal =
        centred.times(deviation.broadcast(exact.shape(), List.of(0, 1))).reshape(x.shape());
    Tensor scaled = normal.times(inputs.get(1).broadcast(x.shape(), List.of(1)));
    Tensor y = scaled.plus(inputs.get(2).broadcast(x.shape(), List.of(1)));
    return List.of(y.cast(x.dtype()), mean, deviation);
  }

  /** [n, groups, c / groups, spatial...]. */
  static Tensor grouped(Tensor x, long groups) {
    return x.reshape(x.shape().with(1, groups).insert(2, x.size(1) / groups));
  }

  /** The dims from the third on. */
  static List<Integer> inner(Tensor grouped) {
    var inner = new ArrayList<Integer>();
    for (int dim = 2; dim < grouped.rank(); dim++) {
      inner.add(dim);
    }
    return inner;
  }
}
