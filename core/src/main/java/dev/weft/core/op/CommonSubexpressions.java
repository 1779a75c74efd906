package dev.weft.core.op;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Computes what is computed twice, by equal ops from the same values, once; inside repeats too. */
public final class CommonSubexpressions {
  private record Key(Op op, List<Value> inputs) {}

  private CommonSubexpressions() {}

  /** The graph with the first of equal nodes standing for all. */
  public static Graph eliminate(Graph graph) {
    Map<Key, Node> first = new HashMap<>();
    Map<Value, Value> replaced = new HashMap<>();
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      List<Value> inputs = node.inputs().stream().map(v -> replaced.getOrDefault(v, v)).toList();
      Op op =
          node.op() instanceof Repeat repeat
              ? repeat.withBody(eliminate(repeat.body()))
              : node.op();
      Node known = first.get(new Key(op, inputs));
      if (known == null) {
        Node kept = new Node(op, inputs, node.outputs(), node.origin());
        first.put(new Key(op, inputs), kept);
        nodes.add(kept);
      } else {
        for (int i = 0; i < node.outputs().size(); i++) {
          replaced.put(node.output(i), known.output(i));
        }
      }
    }
    return new Graph(graph.name(), graph.inputs(), nodes, Substitution.outputs(graph, replaced));
  }
}
