package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * A number put behind the end of a shorter tile, where content is unknown.
 *
 * @param dim the dim that is cut over the axes
 * @param size of the whole dim
 * @param fill the number
 */
public record MaskPadding(List<MeshAxis> axes, int dim, long size, double fill)
    implements Coordinated {
  public MaskPadding {
    axes = List.copyOf(axes);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    long room = Tiles.of(size, axes).room();
    Check.require(
        inputs.getFirst().size(dim) == room, this, inputs, "dim " + dim + " must be " + room);
    return inputs;
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Tiles tiles = Tiles.of(size, axes);
    if (tiles.length(tile) == tiles.room()) {
      return x;
    }
    TensorType line = new TensorType(DataType.I64, Shape.of(x.size(dim)));
    Tensor inside = Tensor.iota(builder, line, 0).less(tiles.length(tile));
    return Tensor.where(inside.broadcast(x.shape(), List.of(dim)), x, x.filled(fill));
  }
}
