package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import java.util.ArrayList;
import java.util.List;

/**
 * Every member gets the elements along a dim that its tile of a windowed op's result needs: those
 * it has, and of its neighbours, over as many hops as it takes, exactly those it lacks. Elements
 * before the first and behind the last are a number.
 *
 * @param dim the dim that input and result of the windowed op are cut along
 * @param size of the whole dim
 * @param result size of the windowed op's result along it
 * @param window see {@link HaloRange}
 * @param stride see {@link HaloRange}
 * @param low see {@link HaloRange}
 * @param dilation see {@link HaloRange}
 * @param align see {@link HaloRange}
 * @param fill what stands outside of the tensor
 */
public record HaloExchange(
    List<MeshAxis> axes,
    int dim,
    long size,
    long result,
    long window,
    long stride,
    long low,
    long dilation,
    long align,
    double fill)
    implements Moving {
  public HaloExchange {
    axes = List.copyOf(axes);
  }

  public static HaloExchange of(List<MeshAxis> axes, int dim, HaloRange range, double fill) {
    return new HaloExchange(
        axes,
        dim,
        range.size(),
        range.result(),
        range.window(),
        range.stride(),
        range.low(),
        range.dilation(),
        range.align(),
        fill);
  }

  public HaloRange range() {
    return new HaloRange(size, result, window, stride, low, dilation, align);
  }

  /** Whether any member needs elements of another. */
  public boolean moves(TensorType input) {
    return pieces(input).stream().anyMatch(Piece::moves);
  }

  @Override
  public Kind kind() {
    return Kind.PERMUTE;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    long room = Tiles.of(size, axes).room();
    Check.require(
        input.size(dim) == room, this, inputs, "dim " + dim + " must be a tile of " + room);
    return List.of(input.with(input.shape().with(dim, range().width(Tiles.of(result, axes)))));
  }

  @Override
  public long bytesSent(List<TensorType> inputs) {
    TensorType input = inputs.getFirst();
    return Moving.busiest(pieces(input), members(), input);
  }

  @Override
  public List<Piece> pieces(TensorType input) {
    Tiles held = Tiles.of(size, axes);
    Tiles made = Tiles.of(result, axes);
    HaloRange range = range();
    var pieces = new ArrayList<Piece>();
    for (int to = 0; to < members(); to++) {
      long begin = range.first(made.start(to));
      long first = Math.max(0, range.needed(made.start(to)));
      long limit = Math.min(size, range.limit(made.start(to), made.length(to)));
      for (int from = 0; from < members(); from++) {
        long start = Math.max(first, held.start(from));
        long end = Math.min(limit, held.start(from) + held.length(from));
        if (start >= end) {
          continue;
        }
        long[] source = new long[input.rank()];
        source[dim] = start - held.start(from);
        long[] target = new long[input.rank()];
        target[dim] = start - begin;
        long[] sizes = input.shape().sizes();
        sizes[dim] = end - start;
        pieces.add(new Piece(from, source, to, target, sizes));
      }
    }
    return pieces;
  }
}
