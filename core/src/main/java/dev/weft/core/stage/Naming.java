package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Reshape;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Gives the results of a graph the names by which pieces find them. Simplification may have put one
 * value in the place of two, or an input in the place of a result, or have made a result of the
 * backward in the forward: such a result becomes a value of its own, a view.
 */
final class Naming {
  private Naming() {}

  /**
   * The graph with named results.
   *
   * @param names of all outputs, different
   * @param roles of the views that are made for outputs
   */
  static Graph outputs(Graph graph, List<String> names, List<Role> roles) {
    Set<Value> inputs = new HashSet<>(graph.inputValues());
    Set<Value> early = new HashSet<>();
    for (Node node : graph.nodes()) {
      if (node.origin().role() == Role.FORWARD) {
        early.addAll(node.outputs());
      }
    }
    Map<Value, Value> renamed = new HashMap<>();
    Set<String> taken = new HashSet<>(names);
    graph.inputValues().forEach(value -> taken.add(value.name()));
    for (int i = 0; i < names.size(); i++) {
      Value value = graph.outputs().get(i).value();
      if (!inputs.contains(value) && (roles.get(i) == Role.FORWARD || !early.contains(value))) {
        renamed.putIfAbsent(value, new Value(names.get(i), value.type()));
      }
    }
    for (Node node : graph.nodes()) {
      for (Value value : node.outputs()) {
        if (!renamed.containsKey(value) && !taken.add(value.name())) {
          renamed.put(value, new Value(free(value.name(), taken), value.type()));
        }
      }
    }
    Graph named = graph.replaced(renamed);
    var nodes = new ArrayList<>(named.nodes());
    var outputs = new ArrayList<Graph.Output>();
    Set<Value> returned = new HashSet<>();
    for (int i = 0; i < names.size(); i++) {
      Graph.Output output = named.outputs().get(i);
      Value value = output.value();
      String name = names.get(i);
      if (!value.name().equals(name) || inputs.contains(value) || !returned.add(value)) {
        var origin = new Origin(name, roles.get(i), "");
        Value view = new Value(name, value.type());
        nodes.add(new Node(new Reshape(value.shape()), List.of(value), List.of(view), origin));
        value = view;
      }
      outputs.add(new Graph.Output(value, output.donated()));
    }
    return new Graph(graph.name(), graph.inputs(), nodes, outputs);
  }

  /** The graph with another ending of the names of some values. */
  static Graph suffixed(Graph graph, Set<Value> values, String suffix) {
    return graph.replaced(suffixes(graph, values, suffix));
  }

  /** What stands for some values of a graph: values of names with another ending. */
  static Map<Value, Value> suffixes(Graph graph, Set<Value> values, String suffix) {
    Set<String> taken = new HashSet<>();
    graph.inputValues().forEach(value -> taken.add(value.name()));
    graph.nodes().forEach(node -> node.outputs().forEach(value -> taken.add(value.name())));
    Map<Value, Value> renamed = new HashMap<>();
    for (Node node : graph.nodes()) {
      for (Value value : node.outputs()) {
        if (values.contains(value)) {
          renamed.put(value, new Value(free(value.name() + suffix, taken), value.type()));
        }
      }
    }
    return renamed;
  }

  /** A name that is not taken, which it is then. */
  static String free(String name, Set<String> taken) {
    String candidate = name;
    for (int number = 1; !taken.add(candidate); number++) {
      candidate = name + "_" + number;
    }
    return candidate;
  }
}
