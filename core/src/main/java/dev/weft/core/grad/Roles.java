package dev.weft.core.grad;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.Shard;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Tells the backward nodes that only parameters' gradients need from those that the backward of
 * earlier forward nodes waits for. A schedule may put off the former.
 */
final class Roles {
  private Roles() {}

  /**
   * The graph with weight gradients marked.
   *
   * @param forwardNodes how many of the nodes, the first ones, are forward
   * @param awaited results that are no weights' gradients
   */
  static Graph assign(Graph graph, int forwardNodes, Set<Value> awaited) {
    Map<Value, List<Node>> consumers = graph.consumers();
    Set<Value> returned = new HashSet<>(graph.outputValues());
    Map<Node, Node> changed = new HashMap<>();
    Set<Node> weight = new HashSet<>();
    List<Node> nodes = graph.nodes();
    for (int i = nodes.size() - 1; i >= forwardNodes; i--) {
      Node node = nodes.get(i);
      boolean late = true;
      boolean used = false;
      for (Value output : node.outputs()) {
        used |= returned.contains(output);
        late &= !awaited.contains(output);
        for (Node consumer : consumers.getOrDefault(output, List.of())) {
          used = true;
          late &=
              weight.contains(consumer)
                  && (Objects.equals(consumer.origin().forward(), node.origin().forward())
                      || passesOn(consumer));
        }
      }
      if (late && used) {
        weight.add(node);
        changed.put(
            node,
            new Node(
                node.op(), node.inputs(), node.outputs(), node.origin().as(Role.WEIGHT_GRADIENT)));
      }
    }
    var result = new ArrayList<Node>();
    for (Node node : nodes) {
      result.add(changed.getOrDefault(node, node));
    }
    return new Graph(graph.name(), graph.inputs(), result, graph.outputs());
  }

  /** Sums and annotations belong to another forward node than the gradients that they pass on. */
  private static boolean passesOn(Node node) {
    return node.op() instanceof Add || node.op() instanceof Shard;
  }
}
