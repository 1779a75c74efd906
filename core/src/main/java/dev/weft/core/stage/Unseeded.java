package dev.weft.core.stage;

import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Graphs that add onto accumulators, for accumulators that hold nothing yet. */
final class Unseeded {
  private Unseeded() {}

  /** Whether the graph adds onto anything. */
  static boolean applies(Graph graph) {
    return !graph.inputs(Graph.Kind.ACCUMULATOR).isEmpty();
  }

  /** The graph without accumulators: zeros in their place, and what follows from that. */
  static Graph graph(Graph graph) {
    Graph plain = without(graph, new HashSet<>(graph.inputs(Graph.Kind.ACCUMULATOR)));
    var outputs = plain.outputs().stream().map(o -> new Graph.Output(o.value(), null)).toList();
    return Optimize.optimize(new Graph(plain.name(), plain.inputs(), plain.nodes(), outputs));
  }

  /** The graph with zeros in the place of some inputs, in the bodies of repeats too. */
  private static Graph without(Graph graph, Set<Value> zeros) {
    var builder = new Builder(graph.name());
    Map<Value, Value> replaced = new HashMap<>();
    for (Graph.Input input : graph.inputs()) {
      if (!zeros.contains(input.value())) {
        builder.append(input);
      }
    }
    builder.prefix("unseeded.");
    for (Node node : graph.nodes()) {
      node.inputs().stream()
          .filter(v -> zeros.contains(v) && !isWithin(node, v))
          .forEach(v -> replaced.computeIfAbsent(v, _ -> zero(builder, v, node.origin())));
      builder.append(node(node, zeros, replaced));
    }
    for (Graph.Output output : graph.outputs()) {
      Value value = output.value();
      if (zeros.contains(value)) {
        var origin = new Origin(value.name(), Role.WEIGHT_GRADIENT, "");
        replaced.computeIfAbsent(value, _ -> zero(builder, value, origin));
      }
      builder.output(replaced.getOrDefault(value, value), output.donated());
    }
    return builder.build();
  }

  private static Value zero(Builder builder, Value value, Origin origin) {
    var before = builder.origin(origin);
    Tensor zero = Tensor.constant(builder, value.dtype(), 0).broadcast(value.shape(), List.of());
    builder.origin(before);
    return zero.value();
  }

  /** Whether the node can do without the value: a repeat whose rounds make zeros themselves. */
  private static boolean isWithin(Node node, Value value) {
    return node.op() instanceof Repeat repeat
        && !node.inputs().subList(0, repeat.carried()).contains(value);
  }

  private static Node node(Node node, Set<Value> zeros, Map<Value, Value> replaced) {
    if (!(node.op() instanceof Repeat repeat)
        || node.inputs().stream().noneMatch(v -> zeros.contains(v) && isWithin(node, v))) {
      List<Value> inputs = node.inputs().stream().map(v -> replaced.getOrDefault(v, v)).toList();
      return new Node(node.op(), inputs, node.outputs(), node.origin());
    }
    Set<Value> inside = new HashSet<>();
    var operands = new ArrayList<Value>();
    int stacked = repeat.stacked();
    for (int i = 0; i < node.inputs().size(); i++) {
      Value operand = node.input(i);
      if (zeros.contains(operand) && isWithin(node, operand)) {
        inside.add(repeat.body().inputValues().get(i + 1));
        stacked -= repeat.isStacked(i) ? 1 : 0;
      } else {
        operands.add(replaced.getOrDefault(operand, operand));
      }
    }
    Graph body = without(repeat.body(), inside);
    var op = new Repeat(body, repeat.count(), repeat.carried(), stacked, repeat.reverse());
    return new Node(op, operands, node.outputs(), node.origin());
  }
}
