package dev.weft.nn.step;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.ScatterAdd;
import dev.weft.core.op.Shard;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Adds what a backward makes of one gradient up before it adds that onto the accumulator. Where
 * accumulators are split over devices and gradients made as parts of sums, these are then folded
 * once, however many uses of a parameter they come from.
 */
final class LateAccumulation {
  private final Graph graph;
  private final Map<Value, Node> producers;
  private final Map<Value, List<Node>> readers;
  private final Set<Value> returned;

  private LateAccumulation(Graph graph) {
    this.graph = graph;
    this.producers = graph.producers();
    this.readers = graph.consumers();
    this.returned = new HashSet<>(graph.outputValues());
  }

  static Graph of(Graph graph) {
    return new LateAccumulation(graph).rewritten();
  }

  private Graph rewritten() {
    // What a node is replaced by, the sum onto the accumulator behind the last of its chain.
    Map<Node, List<Node>> replaced = new HashMap<>();
    for (Graph.Output output : graph.outputs()) {
      Value accumulator = output.donated();
      if (accumulator != null) {
        List<Node> chain = chain(output.value(), accumulator);
        boolean sums = chain.stream().filter(node -> !(node.op() instanceof Shard)).count() > 1;
        if (sums && chain.getLast().op() instanceof Add) {
          replace(chain, accumulator, replaced);
        }
      }
    }
    var nodes = new ArrayList<Node>();
    graph.nodes().forEach(node -> nodes.addAll(replaced.getOrDefault(node, List.of(node))));
    return new Graph(graph.name(), graph.inputs(), nodes, graph.outputs());
  }

  /**
   * The nodes that a value is made by of the accumulator, from the last to the first that adds onto
   * it; empty where something else reads what lies between.
   */
  private List<Node> chain(Value value, Value accumulator) {
    var chain = new ArrayList<Node>();
    Value at = value;
    while (true) {
      @Nullable Node node = producers.get(at);
      boolean shared = at != value && (returned.contains(at) || readers(at) != 1);
      if (node == null || shared) {
        return List.of();
      }
      @Nullable Value base = base(node, accumulator);
      if (base == null) {
        return List.of();
      }
      chain.add(node);
      if (isAccumulator(base, accumulator)) {
        return chain;
      }
      at = base;
    }
  }

  private int readers(Value value) {
    return readers.getOrDefault(value, List.of()).size();
  }

  /** What a node adds onto. */
  private @Nullable Value base(Node node, Value accumulator) {
    return switch (node.op()) {
      case Shard _, ScatterAdd _ -> node.input(0);
      case Add _ -> leads(node.input(0), accumulator) ? node.input(0) : node.input(1);
      default -> null;
    };
  }

  private boolean leads(Value value, Value accumulator) {
    @Nullable Node node = producers.get(value);
    return isAccumulator(value, accumulator)
        || (node != null
            && readers(value) == 1
            && switch (node.op()) {
              case Shard _, ScatterAdd _ -> leads(node.input(0), accumulator);
              case Add _ -> leads(node.input(0), accumulator) || leads(node.input(1), accumulator);
              default -> false;
            });
  }

  /** Whether a value is the accumulator, marked or not. */
  private boolean isAccumulator(Value value, Value accumulator) {
    @Nullable Node node = producers.get(value);
    return value == accumulator
        || (node != null
            && node.op() instanceof Shard
            && isAccumulator(node.input(0), accumulator));
  }

  private void replace(List<Node> chain, Value accumulator, Map<Node, List<Node>> replaced) {
    Node first = chain.getLast();
    boolean left = isAccumulator(first.input(0), accumulator);
    Value accumulated = first.input(left ? 0 : 1);
    Value sum = first.input(left ? 1 : 0);
    Value before = first.output(0);
    replaced.put(first, List.of());
    for (Node node : chain.reversed().subList(1, chain.size())) {
      Value from = before;
      Value base = sum;
      List<Value> inputs = node.inputs().stream().map(v -> v == from ? base : v).toList();
      Value made = node.output(0);
      boolean last = node == chain.getFirst();
      Value own = last ? new Value(made.name() + ".new", made.type()) : made;
      Node changed = new Node(node.op(), inputs, List.of(own), node.origin());
      replaced.put(
          node,
          last
              ? List.of(
                  changed,
                  new Node(new Add(), List.of(accumulated, own), List.of(made), node.origin()))
              : List.of(changed));
      before = made;
      sum = own;
    }
  }
}
