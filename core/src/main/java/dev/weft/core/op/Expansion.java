package dev.weft.core.op;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;

/** Replaces nodes by graphs that compute the same: composites by what they are made of. */
public final class Expansion {
  /** No honest composite is made of composites this deep. */
  private static final int DEEPEST = 32;

  private final Function<Node, Optional<Graph>> bodies;

  private Expansion(Function<Node, Optional<Graph>> bodies) {
    this.bodies = bodies;
  }

  /** What a composite computes, as a graph of its inputs {@code x0, x1, ...}. */
  public static Graph graph(Composite op, List<TensorType> types) {
    var builder = new Builder(op.name());
    var inputs = new ArrayList<Tensor>();
    for (int i = 0; i < types.size(); i++) {
      inputs.add(new Tensor(builder, builder.input("x" + i, types.get(i), Graph.Kind.DATA)));
    }
    List<TensorType> inferred = op.infer(types);
    List<Tensor> outputs = op.expand(inputs);
    List<TensorType> found = outputs.stream().map(Tensor::type).toList();
    if (!found.equals(inferred)) {
      throw new IllegalStateException(
          op.name() + ": expands to " + found + ", outputs should be " + inferred);
    }
    outputs.forEach(output -> builder.output(output.value()));
    return builder.build();
  }

  /**
   * The graph with the selected composites expanded, also those that expansions are made of and
   * those in the bodies of repeats. Values made by a composite stay; new nodes take its origin.
   *
   * @param selected which nodes to expand; asked of nodes with a {@link Composite} only
   */
  public static Graph expand(Graph graph, Predicate<Node> selected) {
    return replace(
        graph,
        node ->
            node.op() instanceof Composite composite && selected.test(node)
                ? Optional.of(graph(composite, node.inputTypes()))
                : Optional.empty());
  }

  /**
   * The graph with nodes replaced by graphs of their inputs; in what these are made of, and in the
   * bodies of repeats, nodes are replaced likewise. Values that a node made stay, unless the body
   * hands an input through; new nodes take its origin.
   *
   * @param bodies what is put in a node's place; empty for a node that stays
   */
  public static Graph replace(Graph graph, Function<Node, Optional<Graph>> bodies) {
    return new Expansion(bodies).replaced(graph, 0).orElse(graph);
  }

  /** The graph with nodes replaced, if there are any to replace. */
  private Optional<Graph> replaced(Graph graph, int depth) {
    if (depth > DEEPEST) {
      throw new IllegalStateException(
          graph.name() + ": ops are made of one another more than " + DEEPEST + " deep");
    }
    var result = new Inlining(graph);
    boolean changed = false;
    for (Node node : graph.nodes()) {
      Optional<Graph> inner = bodies.apply(node);
      if (inner.isPresent()) {
        result.inline(node, replaced(inner.get(), depth + 1).orElse(inner.get()));
        changed = true;
      } else if (node.op() instanceof Repeat repeat) {
        Optional<Graph> body = replaced(repeat.body(), depth);
        changed |= body.isPresent();
        Op op = body.<Op>map(repeat::withBody).orElse(repeat);
        result.keep(new Node(op, node.inputs(), node.outputs(), node.origin()));
      } else {
        result.keep(node);
      }
    }
    return changed ? Optional.of(result.build()) : Optional.empty();
  }

  /** A graph being written anew, node by node. */
  private static final class Inlining {
    private final Graph graph;
    private final List<Node> nodes = new ArrayList<>();
    private final Set<String> names = new HashSet<>();

    /** Outputs of expanded nodes that turned out to be values known before. */
    private final Map<Value, Value> same = new HashMap<>();

    Inlining(Graph graph) {
      this.graph = graph;
      graph.inputValues().forEach(value -> names.add(value.name()));
      graph.nodes().forEach(node -> node.outputs().forEach(value -> names.add(value.name())));
    }

    void keep(Node node) {
      nodes.add(new Node(node.op(), current(node.inputs()), node.outputs(), node.origin()));
    }

    void inline(Node node, Graph body) {
      var outer = new HashMap<Value, Value>();
      List<Value> parameters = body.inputValues();
      for (int i = 0; i < parameters.size(); i++) {
        outer.put(parameters.get(i), current(node.input(i)));
      }
      // The results become the values that the node made, unless they are inputs or returned twice.
      for (int i = 0; i < node.outputs().size(); i++) {
        Value made = body.outputs().get(i).value();
        Value known = outer.putIfAbsent(made, node.output(i));
        if (known != null) {
          same.put(node.output(i), known);
        }
      }
      for (Node inner : body.nodes()) {
        for (Value value : inner.outputs()) {
          outer.computeIfAbsent(
              value, v -> new Value(free(node.output(0).name() + "." + v.name()), v.type()));
        }
        nodes.add(
            new Node(
                inner.op(),
                inner.inputs().stream().map(outer::get).toList(),
                inner.outputs().stream().map(outer::get).toList(),
                node.origin()));
      }
    }

    private String free(String wanted) {
      String name = wanted;
      for (int number = 1; !names.add(name); number++) {
        name = wanted + "_" + number;
      }
      return name;
    }

    private Value current(Value value) {
      return same.getOrDefault(value, value);
    }

    private List<Value> current(List<Value> values) {
      return values.stream().map(this::current).toList();
    }

    Graph build() {
      List<Graph.Output> outputs =
          graph.outputs().stream()
              .map(output -> new Graph.Output(current(output.value()), output.donated()))
              .toList();
      return new Graph(graph.name(), graph.inputs(), nodes, outputs);
    }
  }
}
