package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * A tile of a dim that the device holds whole, counted round the ring from its own; zero stands
 * behind a shorter one.
 *
 * @param dim the dim that is cut over the axes
 * @param ahead which tile: the device's own number and so many more
 */
public record RingSlice(List<MeshAxis> axes, int dim, int ahead) implements Coordinated {
  public RingSlice {
    axes = List.copyOf(axes);
  }

  private TileSlice own() {
    return new TileSlice(axes, dim);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    return own().infer(inputs);
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    return own().on(builder, Math.floorMod(tile + ahead, members()), inputs);
  }
}
