package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * The device's own tile of a dim that it holds whole.
 *
 * @param dim the dim that is cut over the axes
 */
public record TileSlice(List<MeshAxis> axes, int dim) implements Coordinated {
  public TileSlice {
    axes = List.copyOf(axes);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    return List.of(input.with(input.shape().with(dim, Tiles.of(input.size(dim), axes).room())));
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Tiles tiles = Tiles.of(x.size(dim), axes);
    long start = tiles.start(tile);
    Tensor own = x.slice(dim, start, start + tiles.length(tile));
    long[] high = new long[x.rank()];
    high[dim] = tiles.room() - tiles.length(tile);
    return own.pad(new long[x.rank()], high, 0);
  }
}
