package dev.weft.core.collective;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import java.util.ArrayList;
import java.util.List;

/**
 * Several tensors folded over one group in one collective, each as by itself. Made by {@link
 * Bucketing}.
 *
 * @param dims of each tensor the dim that is cut over the axes, as by {@link ReduceScatter}; {@link
 *     #WHOLE} where every member gets all, as by {@link AllReduce}
 */
public record Bucket(List<MeshAxis> axes, Folding folding, List<Integer> dims)
    implements Collective {
  /** In place of a dim: not cut. */
  public static final int WHOLE = -1;

  public Bucket {
    axes = List.copyOf(axes);
    dims = List.copyOf(dims);
  }

  /** What does the same to each tensor by itself, in order. */
  public List<Reducing> parts() {
    var parts = new ArrayList<Reducing>();
    for (int dim : dims) {
      parts.add(
          dim == WHOLE ? new AllReduce(axes, folding) : new ReduceScatter(axes, dim, folding));
    }
    return parts;
  }

  @Override
  public Kind kind() {
    return dims.contains(WHOLE) ? Kind.ALL_REDUCE : Kind.REDUCE_SCATTER;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, dims.size());
    List<Reducing> parts = parts();
    var outputs = new ArrayList<TensorType>();
    for (int i = 0; i < inputs.size(); i++) {
      outputs.addAll(parts.get(i).infer(List.of(inputs.get(i))));
    }
    return outputs;
  }

  @Override
  public long bytesSent(List<TensorType> inputs) {
    List<Reducing> parts = parts();
    long bytes = 0;
    for (int i = 0; i < inputs.size(); i++) {
      bytes += parts.get(i).bytesSent(inputs.get(i));
    }
    return bytes;
  }
}
