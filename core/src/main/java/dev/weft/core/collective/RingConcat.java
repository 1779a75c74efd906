package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Concat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * All tiles of a dim put together. Inputs stand in the order of the ring, the device's own first.
 *
 * @param dim the dim that is cut over the axes
 * @param size of the whole dim
 */
public record RingConcat(List<MeshAxis> axes, int dim, long size) implements Coordinated {
  public RingConcat {
    axes = List.copyOf(axes);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Tiles tiles = Tiles.of(size, axes);
    Check.count(this, inputs, tiles.count());
    TensorType first = inputs.getFirst();
    for (int i = 0; i < inputs.size(); i++) {
      Check.type(this, inputs, i, first);
    }
    Check.require(
        first.size(dim) == tiles.room(),
        this,
        inputs,
        "dim " + dim + " must be a tile of " + tiles.room());
    return List.of(first.with(first.shape().with(dim, size)));
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    Tiles tiles = Tiles.of(size, axes);
    var parts = new ArrayList<Tensor>();
    for (int number = 0; number < inputs.size(); number++) {
      Tensor part = inputs.get(Math.floorMod(number - tile, inputs.size()));
      if (tiles.length(number) > 0) {
        parts.add(part.slice(dim, 0, tiles.length(number)));
      }
    }
    return new Tensor(
        builder,
        builder.add(new Concat(dim), parts.stream().map(Tensor::value).toList()).getFirst());
  }
}
