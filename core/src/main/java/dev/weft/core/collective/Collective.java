package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;

/**
 * An op that the devices of a group compute together: those that differ only along its axes,
 * numbered row-major over them. It has as many outputs as inputs, one unless it is a {@link
 * Bucket}; all devices of a group come to it with equal types.
 */
public sealed interface Collective extends Op permits Reducing, Moving, Bucket {
  /** What users call it. */
  enum Kind {
    ALL_REDUCE("all-reduce"),
    ALL_GATHER("all-gather"),
    REDUCE_SCATTER("reduce-scatter"),
    ALL_TO_ALL("all-to-all"),
    PERMUTE("permute");

    private final String text;

    Kind(String text) {
      this.text = text;
    }

    @Override
    public String toString() {
      return text;
    }
  }

  Kind kind();

  /** The collectives of a graph and of its bodies, in order, each as often as it is written. */
  static List<Node> in(Graph graph) {
    var found = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Collective) {
        found.add(node);
      }
      node.op().bodies().forEach(body -> found.addAll(in(body)));
    }
    return found;
  }

  /** The axes that the group's members differ along, outermost first. */
  List<MeshAxis> axes();

  /**
   * Bytes that one device sends to do this once, on a ring; for a permute those of the busiest
   * device.
   *
   * @param inputs the types of the inputs on every device
   */
  long bytesSent(List<TensorType> inputs);

  /** The same for a collective of one tensor. */
  default long bytesSent(TensorType input) {
    return bytesSent(List.of(input));
  }

  /** How many devices what is sent passes one after another, on a ring. */
  default int hops() {
    return members() - 1;
  }

  /** How many devices take part. */
  default int members() {
    int members = 1;
    for (MeshAxis axis : axes()) {
      members *= axis.size();
    }
    return members;
  }

  /** Never split further. */
  @Override
  default Factors factors(List<TensorType> inputs) {
    throw new UnsupportedOperationException(name() + " is made by the partitioner");
  }

  @Override
  default Cost cost(List<TensorType> inputs) {
    return new Cost(0, 2.0 * inputs.stream().mapToLong(TensorType::bytes).sum());
  }
}
