package dev.weft.core.collective;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;

/**
 * Lets reductions begin as soon as there is something to reduce, in the bodies of repeats too. What
 * is there from the start is reduced where the graph says so.
 */
public final class Hoisting {
  private Hoisting() {}

  /** The graph with every reduction right behind the node that makes its operand. */
  public static Graph apply(Graph graph) {
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      int position = nodes.size();
      if (node.op() instanceof Reducing) {
        while (position > 0 && !nodes.get(position - 1).outputs().contains(node.input(0))) {
          position--;
        }
        nodes.add(position == 0 ? nodes.size() : position, node);
      } else if (node.op() instanceof Repeat repeat) {
        Repeat inner = repeat.withBody(apply(repeat.body()));
        nodes.add(new Node(inner, node.inputs(), node.outputs(), node.origin()));
      } else {
        nodes.add(node);
      }
    }
    return new Graph(graph.name(), graph.inputs(), nodes, graph.outputs());
  }
}
