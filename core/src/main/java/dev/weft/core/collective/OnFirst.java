package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * The tensor on the first device along some axes, a number on the others: a replicated tensor made
 * a partial one.
 *
 * @param fill what leaves other tensors as they are when it is folded with them
 */
public record OnFirst(List<MeshAxis> axes, double fill) implements Coordinated {
  public OnFirst {
    axes = List.copyOf(axes);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    return inputs;
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    return tile == 0 ? inputs.getFirst() : inputs.getFirst().filled(fill);
  }
}
