package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * What {@link HaloExchange} gives where nothing need be sent for it.
 *
 * @param dim the dim that the windowed op's result is cut along
 * @param size of the whole dim
 * @param result size of the windowed op's result along it
 * @param window see {@link HaloRange}
 * @param stride see {@link HaloRange}
 * @param low see {@link HaloRange}
 * @param dilation see {@link HaloRange}
 * @param align see {@link HaloRange}
 * @param fill what stands outside of the tensor
 * @param cut whether the dim is cut over the axes, too, and every device has what it needs; else
 *     every device holds it whole
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
    long align,
    double fill,
    boolean cut)
    implements Coordinated {
  public WindowSlice {
    axes = List.copyOf(axes);
  }

  public static WindowSlice of(
      List<MeshAxis> axes, int dim, HaloRange range, double fill, boolean cut) {
    return new WindowSlice(
        axes,
        dim,
        range.size(),
        range.result(),
        range.window(),
        range.stride(),
        range.low(),
        range.dilation(),
        range.align(),
        fill,
        cut);
  }

  private HaloRange range() {
    return new HaloRange(size, result, window, stride, low, dilation, align);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    long held = cut ? Tiles.of(size, axes).room() : size;
    Check.require(input.size(dim) == held, this, inputs, "dim " + dim + " must be " + held);
    return List.of(input.with(input.shape().with(dim, range().width(Tiles.of(result, axes)))));
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Tiles made = Tiles.of(result, axes);
    long width = range().width(made);
    Tiles held = Tiles.of(size, axes);
    long length = cut ? held.length(tile) : size;
    long begin = range().first(made.start(tile)) - (cut ? held.start(tile) : 0);
    long first = Math.clamp(begin, 0, length);
    long limit = Math.clamp(begin + width, first, length);
    long[] low = new long[x.rank()];
    long[] high = new long[x.rank()];
    low[dim] = Math.min(width, first - begin);
    if (begin > length) {
      low[dim] = 0;
    }
    high[dim] = width - (limit - first) - low[dim];
    return x.slice(dim, first, limit).pad(low, high, fill);
  }
}
