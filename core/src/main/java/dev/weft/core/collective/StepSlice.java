package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * A device's own steps of those that it computed, where it began early: see {@link HaloRange}.
 *
 * @param dim the dim of the windowed op's result that is cut
 * @param result size of the whole dim
 * @param align the multiples that tiles began to compute at
 */
public record StepSlice(List<MeshAxis> axes, int dim, long result, long align)
    implements Coordinated {
  public StepSlice {
    axes = List.copyOf(axes);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    long room = Tiles.of(result, axes).room();
    Check.require(
        input.size(dim) >= room, this, inputs, "dim " + dim + " must be at least " + room);
    return List.of(input.with(input.shape().with(dim, room)));
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    Tiles tiles = Tiles.of(result, axes);
    long early = tiles.start(tile) % align;
    return inputs.getFirst().slice(dim, early, early + tiles.room());
  }
}
