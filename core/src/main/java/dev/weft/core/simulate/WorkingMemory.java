package dev.weft.core.simulate;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Constant;
import dev.weft.core.op.Repeat;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What computing a graph takes besides the graph's inputs and outputs, estimated without compiling
 * it: values live from the node that makes them to the last that reads them, views lie in what they
 * are views of, and elementwise results take the place of an operand that nobody reads any more.
 */
public final class WorkingMemory {
  private final Map<Value, Value> roots = new IdentityHashMap<>();
  private final Map<Value, Integer> lastReads = new IdentityHashMap<>();
  private final Set<Value> outside = new HashSet<>();
  private final Map<Graph, Long> bodies;
  private final Graph graph;

  private WorkingMemory(Graph graph, Map<Graph, Long> bodies) {
    this.graph = graph;
    this.bodies = bodies;
  }

  /** The most bytes at once. */
  public static long of(Graph graph) {
    return new WorkingMemory(graph, new IdentityHashMap<>()).peak();
  }

  private static long body(Graph body, Map<Graph, Long> bodies) {
    Long known = bodies.get(body);
    if (known == null) {
      known = new WorkingMemory(body, bodies).peak();
      bodies.put(body, known);
    }
    return known;
  }

  private long peak() {
    List<Node> nodes = graph.nodes();
    for (Node node : nodes) {
      if (isView(node)) {
        roots.put(node.output(0), root(node.input(0)));
      }
    }
    for (int i = 0; i < nodes.size(); i++) {
      for (Value input : nodes.get(i).inputs()) {
        lastReads.put(root(input), i);
      }
    }
    graph.inputValues().forEach(outside::add);
    graph.outputValues().forEach(value -> outside.add(root(value)));
    Map<Integer, Long> released = new HashMap<>();
    long live = 0;
    long peak = 0;
    for (int i = 0; i < nodes.size(); i++) {
      Node node = nodes.get(i);
      live -= released.getOrDefault(i - 1, 0L);
      if (node.op() instanceof Constant || isView(node)) {
        continue;
      }
      long made = 0;
      for (Value output : node.outputs()) {
        if (!outside.contains(output)) {
          made += output.type().bytes();
          int last = lastReads.getOrDefault(output, i);
          released.merge(last, output.type().bytes(), Long::sum);
        }
      }
      live += made;
      peak = Math.max(peak, live + within(node) - replaced(node, i));
    }
    return peak;
  }

  /** What a node itself takes while it runs. */
  private long within(Node node) {
    if (!(node.op() instanceof Repeat repeat)) {
      return 0;
    }
    // A round reads the values that the one before has made, and makes them anew.
    long carried = 0;
    for (int i = 0; i < repeat.carried(); i++) {
      carried += node.output(i).type().bytes();
    }
    return body(repeat.body(), bodies) + carried;
  }

  /** The bytes of an operand that the result is written over. */
  private long replaced(Node node, int place) {
    if (!ClusterCosts.isElementwise(node)) {
      return 0;
    }
    long bytes = node.output(0).type().bytes();
    for (Value input : node.inputs()) {
      Value root = root(input);
      if (!outside.contains(root)
          && root.type().bytes() == bytes
          && lastReads.getOrDefault(root, -1) == place) {
        return bytes;
      }
    }
    return 0;
  }

  private Value root(Value value) {
    return roots.getOrDefault(value, value);
  }

  private static boolean isView(Node node) {
    return node.inputs().size() == 1
        && node.op().view(Strided.dense(node.input(0).shape())).isPresent();
  }
}
