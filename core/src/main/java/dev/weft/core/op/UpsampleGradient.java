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
 * The gradient of {@link Upsample}: sums over blocks of neighbours along the last dims.
 *
 * @param scales how many neighbours make a block, per dim
 */
public record UpsampleGradient(List<Long> scales) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          UpsampleGradient.class,
          Example.of(new UpsampleGradient(List.of(2L, 3L)), Example.f32(2, 3, 4, 6)),
          Example.of(new UpsampleGradient(List.of(2L)), Example.f32(3, 8)));

  public UpsampleGradient {
    scales = List.copyOf(scales);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.isFloat(this, inputs, 0);
    TensorType dy = inputs.getFirst();
    int first = dy.rank() - scales.size();
    Check.require(
        first >= 0 && scales.stream().allMatch(s -> s >= 1),
        this,
        inputs,
        "scales must be at least 1 and no more than there are dims");
    long[] sizes = dy.shape().sizes();
    for (int dim = first; dim < sizes.length; dim++) {
      long scale = scales.get(dim - first);
      Check.require(
          sizes[dim] % scale == 0, this, inputs, "dim " + dim + " must be a multiple of " + scale);
      sizes[dim] /= scale;
    }
    return List.of(dy.with(Shape.of(sizes)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    int rank = inputs.getFirst().rank();
    List<List<List<String>>> sides = Upsample.factors(rank, scales.size());
    Factors factors = new Factors(List.of(sides.getLast()), List.of(sides.getFirst()), Map.of());
    return Upsample.whole(factors, rank, scales.size());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    Shape dy = inputs.getFirst().shape();
    Shape x = infer(inputs).getFirst().shape();
    if (scales.size() != 2 || dy.rank() != 4 || dy.elements() == 0) {
      return List.of();
    }
    return List.of(
        Kernel.of(
            "aten::upsample_nearest2d_backward.grad_input(x0, [%d,%d], %s, none, none, y0)"
                .formatted(dy.size(2), dy.size(3), x)));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(Tensor.one(new Upsample(scales), adjoint.cotangent()));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor dy = inputs.getFirst();
    Shape x = infer(List.of(dy.type())).getFirst().shape();
    var blocks = new ArrayList<Integer>();
    int first = x.rank() - scales.size();
    for (int dim = first; dim < x.rank(); dim++) {
      blocks.add(first + 2 * (dim - first) + 1);
    }
    return List.of(dy.reshape(Upsample.repeated(x, scales, true)).sum(blocks));
  }
}
