package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;

/**
 * The gradient of {@link GroupNorm}. Inputs: the output's cotangent, x, mean, one over the standard
 * deviation, scale. Outputs: the gradients by x, scale and shift.
 */
public record GroupNormGradient() implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          GroupNormGradient.class,
          Example.of(
              new GroupNormGradient(),
              Example.f32(2, 4, 3, 2),
              Example.f32(2, 4, 3, 2),
              Example.f32(2, 2),
              Example.positive(2, 2),
              Example.f32(4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 5);
    Check.isFloat(this, inputs, 1);
    TensorType x = inputs.get(1);
    Check.require(x.rank() >= 2, this, inputs, "argument 1 needs a batch and channels");
    Check.type(this, inputs, 0, x);
    Check.rank(this, inputs, 2, 2);
    long groups = inputs.get(2).size(1);
    Check.require(
        groups >= 1 && x.size(1) % groups == 0 && x.size(1) > 0,
        this,
        inputs,
        "%d groups do not divide %d channels".formatted(groups, x.size(1)));
    TensorType statistics = TensorType.of(CrossEntropy.wide(x.dtype()), x.size(0), groups);
    Check.type(this, inputs, 2, statistics);
    Check.type(this, inputs, 3, statistics);
    Check.type(this, inputs, 4, TensorType.of(statistics.dtype(), x.size(1)));
    return List.of(x, inputs.get(4), inputs.get(4));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    GroupNorm.Sides sides = GroupNorm.Sides.of(inputs.getFirst().rank());
    return sides.factors(
        List.of(sides.x(), sides.x(), sides.groups(), sides.groups(), sides.channels()),
        List.of(sides.x(), sides.channels(), sides.channels()));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(14.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    Shape x = inputs.get(1).shape();
    if (x.elements() == 0) {
      return List.of();
    }
    return List.of(
        Kernel.of(
            "aten::native_group_norm_backward(contiguous(x0), contiguous(x1), contiguous(x2), contiguous(x3), &contiguous(x4), %d, %d, %d, %d, [true,true,true]) -> y0, y1, y2"
                .formatted(x.size(0), x.size(1), x.product(2, x.rank()), inputs.get(2).size(1))));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.get(1);
    Tensor scale = inputs.get(4);
    long groups = inputs.get(2).size(1);
    Tensor dy = inputs.get(0).cast(scale.dtype());
    Tensor exact = GroupNorm.grouped(x.cast(scale.dtype()), groups);
    Shape shape = exact.shape();
    List<Integer> inner = GroupNorm.inner(exact);
    double share = 1.0 / shape.product(2, shape.rank());
    Tensor mean = inputs.get(2).broadcast(shape, List.of(0, 1));
    Tensor deviation = inputs.get(3).broadcast(shape, List.of(0, 1));
    Tensor normal = exact.minus(mean).times(deviation);
    Tensor scaled = GroupNorm.grouped(dy.times(scale.broadcast(x.shape(), List.of(1))), groups);
    Tensor level = scaled.sum(inner).times(share).broadcast(shape, List.of(0, 1));
    Tensor slope = scaled.times(normal).sum(inner).times(share).broadcast(shape, List.of(0, 1));
    Tensor dx = scaled.minus(level).minus(normal.times(slope)).times(deviation);
    var perChannel = new ArrayList<Integer>(List.of(0));
    for (int dim = 2; dim < x.rank(); dim++) {
      perChannel.add(dim);
    }
    return List.of(
        dx.reshape(x.shape()).cast(x.dtype()),
        dy.times(normal.reshape(x.shape())).sum(perChannel),
        dy.sum(perChannel));
  }
}
