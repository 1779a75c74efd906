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
 * Every element repeated along the last dims: element i of the output is element i / scale of x.
 *
 * @param scales how often, per dim
 */
public record Upsample(List<Long> scales) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          Upsample.class,
          Example.of(new Upsample(List.of(2L, 3L)), Example.f32(2, 3, 4, 2)),
          Example.of(new Upsample(List.of(2L)), Example.f32(3, 4)));

  public Upsample {
    scales = List.copyOf(scales);
  }

  /** The shape that x has once elements are repeated, on dims of their own if {@code apart}. */
  static Shape repeated(Shape x, List<Long> scales, boolean apart) {
    var sizes = new ArrayList<Long>();
    int first = x.rank() - scales.size();
    for (int dim = 0; dim < x.rank(); dim++) {
      long scale = dim < first ? 1 : scales.get(dim - first);
      sizes.add(apart ? x.size(dim) : x.size(dim) * scale);
      if (apart && dim >= first) {
        sizes.add(scale);
      }
    }
    return Shape.of(sizes.stream().mapToLong(Long::longValue).toArray());
  }

  /** Factors of x, and of what it becomes. */
  static List<List<List<String>>> factors(int rank, int scaled) {
    List<List<String>> x = Factors.named("d", rank);
    var y = new ArrayList<>(x);
    for (int dim = rank - scaled; dim < rank; dim++) {
      y.set(dim, List.of("d" + dim, "f" + dim));
    }
    return List.of(x, y);
  }

  static Factors whole(Factors factors, int rank, int scaled) {
    Factors marked = factors;
    for (int dim = rank - scaled; dim < rank; dim++) {
      marked = marked.mark("f" + dim, Factors.Mark.WHOLE);
    }
    return marked;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType x = inputs.getFirst();
    Check.require(
        scales.size() <= x.rank() && scales.stream().allMatch(s -> s >= 1),
        this,
        inputs,
        "scales must be at least 1 and no more than there are dims");
    return List.of(x.with(repeated(x.shape(), scales, false)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    int rank = inputs.getFirst().rank();
    List<List<List<String>>> sides = factors(rank, scales.size());
    Factors factors = new Factors(List.of(sides.getFirst()), List.of(sides.getLast()), Map.of());
    return whole(factors, rank, scales.size());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    TensorType x = inputs.getFirst();
    if (scales.size() != 2 || x.rank() != 4 || !x.dtype().isFloat() || x.elements() == 0) {
      return List.of();
    }
    return List.of(
        Kernel.of(
            "aten::upsample_nearest2d.out(x0, [%d,%d], none, none, y0)"
                .formatted(x.size(2) * scales.get(0), x.size(3) * scales.get(1))));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(Tensor.one(new UpsampleGradient(scales), adjoint.cotangent()));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    var dims = new ArrayList<Integer>();
    int first = x.rank() - scales.size();
    for (int dim = 0; dim < x.rank(); dim++) {
      dims.add(dim < first ? dim : first + 2 * (dim - first));
    }
    return List.of(
        x.broadcast(repeated(x.shape(), scales, true), dims)
            .reshape(repeated(x.shape(), scales, false)));
  }
}
