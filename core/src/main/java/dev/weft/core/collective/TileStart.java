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
 * Where the device's tile of a dim begins, an i64 scalar. No input.
 *
 * @param size of the whole dim
 */
public record TileStart(List<MeshAxis> axes, long size) implements Coordinated {
  public TileStart {
    axes = List.copyOf(axes);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 0);
    return List.of(TensorType.scalar(DataType.I64));
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    return Tensor.constant(builder, DataType.I64, Tiles.of(size, axes).start(tile));
  }
}
