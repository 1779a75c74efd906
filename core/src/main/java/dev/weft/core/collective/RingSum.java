package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * The sum of what was made of every tile. Inputs stand in the order of the ring, what is of the
 * device's own tile first; they are added in the order of tiles, so that all devices that add the
 * same come to the same bits.
 */
public record RingSum(List<MeshAxis> axes) implements Coordinated {
  public RingSum {
    axes = List.copyOf(axes);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, members());
    for (int i = 0; i < inputs.size(); i++) {
      Check.type(this, inputs, i, inputs.getFirst());
    }
    return List.of(inputs.getFirst());
  }

  @Override
  public Tensor on(Builder builder, int tile, List<Tensor> inputs) {
    var parts = new ArrayList<Tensor>();
    for (int number = 0; number < inputs.size(); number++) {
      // Flat: a kernel that adds a product onto another rounds by which of them it makes.
      parts.add(inputs.get(Math.floorMod(number - tile, inputs.size())).reshape(elements(inputs)));
    }
    while (parts.size() > 1) {
      var next = new ArrayList<Tensor>();
      for (int i = 0; i + 1 < parts.size(); i += 2) {
        next.add(parts.get(i).plus(parts.get(i + 1)));
      }
      if (parts.size() % 2 == 1) {
        next.add(parts.getLast());
      }
      parts = next;
    }
    return parts.getFirst().reshape(inputs.getFirst().shape().sizes());
  }

  private static long elements(List<Tensor> inputs) {
    return inputs.getFirst().type().elements();
  }
}
