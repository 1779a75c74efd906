package dev.weft.core.collective;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import java.util.List;

/** Parts folded together; every member gets the whole. */
public record AllReduce(List<MeshAxis> axes, Folding folding) implements Reducing {
  public AllReduce {
    axes = List.copyOf(axes);
  }

  @Override
  public Kind kind() {
    return Kind.ALL_REDUCE;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    return inputs;
  }

  @Override
  public long bytesSent(List<TensorType> inputs) {
    TensorType input = inputs.getFirst();
    return 2 * (members() - 1) * input.bytes() / members();
  }
}
