package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * One behind the last element of the device's tile of a dim, an i64 scalar. No input.
 *
 * @param size of the whole dim
 */
public record TileEnd(List<MeshAxis> axes, long size) implements Coordinated {
  public TileEnd {
    axes = List.copyOf(axes);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 0);
    return List.of(TensorType.scalar(DataType.I64));
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    return Tensor.constant(
        builder,
        DataType.I64,
        Tiles.of(size, axes).start(tile) + Tiles.of(size, axes).length(tile));
  }
}
