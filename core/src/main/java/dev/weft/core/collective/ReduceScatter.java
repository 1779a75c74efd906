package dev.weft.core.collective;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import java.util.List;

/**
 * Parts folded together; every member gets its tile of a dim.
 *
 * @param dim the dim that is cut over the axes
 */
public record ReduceScatter(List<MeshAxis> axes, int dim, Folding folding) implements Reducing {
  public ReduceScatter {
    axes = List.copyOf(axes);
  }

  @Override
  public Kind kind() {
    return Kind.REDUCE_SCATTER;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    return List.of(input.with(input.shape().with(dim, tiles(input).room())));
  }

  /** The tiles of the results. */
  public Tiles tiles(TensorType input) {
    return Tiles.of(input.size(dim), axes);
  }

  @Override
  public long bytesSent(List<TensorType> inputs) {
    TensorType input = inputs.getFirst();
    return (members() - 1) * input.bytes() / members();
  }
}
