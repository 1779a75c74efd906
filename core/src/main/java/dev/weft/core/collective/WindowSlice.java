package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * What {@link HaloExchange} gives, from a dim that every device holds whole.
 *
 * @param dim the dim that the windowed op's result is cut along
 * @param size of the whole dim
 * @param result size of the windowed op's result along it
 * @param window see {@link HaloRange}
 * @param stride see {@link HaloRange}
 * @param low see {@link HaloRange}
 * @param dilation see {@link HaloRange}
 * @param fill what stands outside of the tensor
 */
public record WindowSlice(
    List<MeshAxis> axes,
    int dim,
    long size,
    long result,
    long window,
    long stride,
    long low,
    long dilation,
    double fill)
    implements Coordinated {
  public WindowSlice {
    axes = List.copyOf(axes);
  }

  public static WindowSlice of(List<MeshAxis> axes, int dim, HaloRange range, double fill) {
    return new WindowSlice(
        axes,
        dim,
        range.size(),
        range.result(),
        range.window(),
        range.stride(),
        range.low(),
        range.dilation(),
        fill);
  }

  private HaloRange range() {
    return new HaloRange(size, result, window, stride, low, dilation);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    Check.require(input.size(dim) == size, this, inputs, "dim " + dim + " must be " + size);
    return List.of(input.with(input.shape().with(dim, range().width(Tiles.of(result, axes)))));
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Tiles made = Tiles.of(result, axes);
    long width = range().width(made);
    long begin = range().first(made.start(tile));
    long first = Math.clamp(begin, 0, size);
    long limit = Math.clamp(begin + width, first, size);
    long[] low = new long[x.rank()];
    long[] high = new long[x.rank()];
    low[dim] = Math.min(width, first - begin);
    if (begin > size) {
      low[dim] = 0;
    }
    high[dim] = width - (limit - first) - low[dim];
    return x.slice(dim, first, limit).pad(low, high, fill);
  }
}
