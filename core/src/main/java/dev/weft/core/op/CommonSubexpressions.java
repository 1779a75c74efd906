package dev.weft.core.op;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Role;
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
    Map<Key, Integer> first = new HashMap<>();
    Map<Value, Value> replaced = new HashMap<>();
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      List<Value> inputs = node.inputs().stream().map(v -> replaced.getOrDefault(v, v)).toList();
      Op op =
          node.op() instanceof Repeat repeat
              ? repeat.withBody(eliminate(repeat.body()))
              : node.op();
      Integer index = first.putIfAbsent(new Key(op, inputs), nodes.size());
      if (index == null) {
        nodes.add(new Node(op, inputs, node.outputs(), node.origin()));
      } else {
        Node known = nodes.get(index);
        if (node.origin().role() == Role.FORWARD && known.origin().role() != Role.FORWARD) {
          // What the forward pass needs may not wait for the backward pass.
          nodes.set(index, new Node(op, inputs, known.outputs(), node.origin()));
        }
        for (int i = 0; i < node.outputs().size(); i++) {
          replaced.put(node.output(i), known.output(i));
        }
      }
    }
    return new Graph(graph.name(), graph.inputs(), nodes, Substitution.outputs(graph, replaced));
  }
}
