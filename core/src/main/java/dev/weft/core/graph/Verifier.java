package dev.weft.core.graph;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;

/** Checks between passes that a graph is well formed. A failure is a fault of Weft's. */
public final class Verifier {
  private Verifier() {}

  /**
   * Gives the graph back if it is well formed.
   *
   * @throws IllegalStateException naming the pass, the node and what is wrong
   */
  public static Graph verify(String pass, Graph graph) {
    Set<Value> known = new HashSet<>();
    Set<String> names = new HashSet<>();
    for (Value value : graph.inputValues()) {
      define(pass, graph, value, known, names);
    }
    for (Node node : graph.nodes()) {
      node.op().bodies().forEach(body -> verify(pass, body));
      for (Value input : node.inputs()) {
        require(
            known.contains(input), pass, graph, node, () -> input + " is used before it is made");
      }
      List<TensorType> types = node.op().infer(node.inputTypes());
      List<TensorType> found = node.outputs().stream().map(Value::type).toList();
      require(
          types.equals(found),
          pass,
          graph,
          node,
          () -> "outputs should be " + types + ", are " + found);
      for (Value output : node.outputs()) {
        define(pass, graph, output, known, names);
      }
    }
    Set<Value> donated = new HashSet<>();
    Set<Value> inputs = new HashSet<>(graph.inputValues());
    for (Graph.Output output : graph.outputs()) {
      if (!known.contains(output.value())) {
        throw failure(pass, graph, output.value() + " is returned but never made");
      }
      Value donor = output.donated();
      if (donor != null) {
        if (!inputs.contains(donor) || !donated.add(donor)) {
          throw failure(pass, graph, donor + " is donated twice or is no input");
        }
        if (!donor.type().equals(output.value().type())) {
          throw failure(pass, graph, donor + " is donated to " + output.value());
        }
      }
    }
    return graph;
  }

  private static void define(
      String pass, Graph graph, Value value, Set<Value> known, Set<String> names) {
    if (!known.add(value) || !names.add(value.name())) {
      throw failure(pass, graph, value + " is made twice");
    }
  }

  private static void require(
      boolean condition, String pass, Graph graph, Node node, Supplier<String> message) {
    if (!condition) {
      throw failure(
          pass, graph, node.op().name() + " making " + node.outputs() + ": " + message.get());
    }
  }

  private static IllegalStateException failure(String pass, Graph graph, String message) {
    return new IllegalStateException(
        "after " + pass + ", in graph " + graph.name() + ": " + message);
  }
}
