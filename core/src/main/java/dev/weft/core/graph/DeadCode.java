package dev.weft.core.graph;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Takes away nodes whose outputs nobody reads. */
public final class DeadCode {
  private DeadCode() {}

  /** An op that contains a graph and can lose outputs and operands that are not needed. */
  public interface Prunable extends Op {
    /**
     * The node without outputs that are not alive and operands that are then not read.
     *
     * @param alive the values that something reads
     */
    Node prune(Node node, Set<Value> alive);
  }

  /** The graph without dead nodes; inputs and outputs stay. */
  public static Graph eliminate(Graph graph) {
    Set<Value> alive = new HashSet<>(graph.outputValues());
    var kept = new ArrayList<Node>();
    List<Node> nodes = graph.nodes();
    for (Node node : nodes.reversed()) {
      if (node.outputs().stream().noneMatch(alive::contains)) {
        continue;
      }
      Node pruned = node.op() instanceof Prunable prunable ? prunable.prune(node, alive) : node;
      alive.addAll(pruned.inputs());
      kept.add(pruned);
    }
    return new Graph(graph.name(), graph.inputs(), kept.reversed(), graph.outputs());
  }
}
