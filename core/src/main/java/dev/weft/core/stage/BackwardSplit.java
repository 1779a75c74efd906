package dev.weft.core.stage;

import dev.weft.core.grad.Residuals;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Parts the nodes of a backward pass: what others wait for, and what only gradients of parameters
 * need, to be run later (Qi et al., Zero Bubble Pipeline Parallelism, section 2). A repeat of
 * backward rounds becomes two; what the rounds of the one make for those of the other is stacked.
 */
final class BackwardSplit {
  private BackwardSplit() {}

  /**
   * The graph with every backward node of one of the two roles, as it is run.
   *
   * @param awaited results that are no gradients of parameters
   */
  static Graph split(Graph graph, Collection<Value> awaited) {
    List<Node> nodes = nodes(graph.nodes(), new HashSet<>(awaited));
    return new Graph(graph.name(), graph.inputs(), nodes, graph.outputs());
  }

  /** Whether the node runs with those that others wait for. */
  static boolean isEarly(Node node) {
    return node.origin().role() == Role.INPUT_GRADIENT;
  }

  static boolean isLate(Node node) {
    return node.origin().role() == Role.WEIGHT_GRADIENT;
  }

  /** Parts nodes. What the early ones read is added to what is awaited. */
  private static List<Node> nodes(List<Node> nodes, Set<Value> awaited) {
    var parted = new ArrayList<Node>();
    for (Node node : nodes.reversed()) {
      if (!isEarly(node) && !isLate(node)) {
        // Forward, or made again: whoever reads it may make it.
        if (node.outputs().stream().anyMatch(awaited::contains)) {
          awaited.addAll(node.inputs());
        }
        parted.add(node);
      } else if (node.op() instanceof Repeat repeat) {
        List<Node> both = rounds(node, repeat, awaited);
        both.stream().filter(BackwardSplit::isEarly).forEach(n -> awaited.addAll(n.inputs()));
        parted.addAll(both.reversed());
      } else if (isLate(node) && node.outputs().stream().noneMatch(awaited::contains)) {
        parted.add(node);
      } else {
        awaited.addAll(node.inputs());
        parted.add(as(node, Role.INPUT_GRADIENT));
      }
    }
    return parted.reversed();
  }

  private static Node as(Node node, Role role) {
    return new Node(node.op(), node.inputs(), node.outputs(), node.origin().as(role));
  }

  /** One or two repeats. */
  private static List<Node> rounds(Node node, Repeat repeat, Set<Value> awaited) {
    Graph body = repeat.body();
    List<Value> arguments = body.inputValues();
    List<Value> results = body.outputValues();
    Set<Value> wanted = new HashSet<>();
    for (int i = 0; i < results.size(); i++) {
      if (awaited.contains(node.output(i))) {
        wanted.add(results.get(i));
      }
    }
    Set<Value> inside;
    List<Node> parted;
    boolean grown;
    do {
      inside = new HashSet<>(wanted);
      parted = nodes(body.nodes(), inside);
      grown = false;
      for (int i = 0; i < repeat.carried(); i++) {
        if (inside.contains(arguments.get(i + 1))) {
          grown |= wanted.add(results.get(i));
        }
      }
    } while (grown);

    Set<Value> late = new HashSet<>();
    Set<Value> needed = new LinkedHashSet<>();
    var others = new ArrayList<Node>();
    for (Node inner : parted) {
      if (isLate(inner)) {
        late.addAll(inner.outputs());
        needed.addAll(inner.inputs());
      } else {
        others.add(inner);
      }
    }
    Set<Integer> put = new LinkedHashSet<>();
    for (int i = 0; i < results.size(); i++) {
      Value result = results.get(i);
      boolean passed = arguments.contains(result) && !inside.contains(result);
      if (late.contains(result) || passed) {
        put.add(i);
        needed.add(result);
      }
    }
    if (put.isEmpty()) {
      return List.of(as(node, Role.INPUT_GRADIENT));
    }
    Set<Value> free = new HashSet<>();
    free.add(arguments.getFirst());
    free.addAll(arguments.subList(1 + repeat.carried(), arguments.size()));
    Set<Value> held = new HashSet<>();
    for (int i = 0; i < repeat.carried(); i++) {
      if (!put.contains(i)) {
        held.add(arguments.get(i + 1));
      }
    }
    Set<Value> crossing = Residuals.between(others, held, needed, free).saved();
    Graph whole = new Graph(body.name(), body.inputs(), parted, body.outputs());
    Node exposed =
        exposed(
            new Node(repeat.withBody(whole), node.inputs(), node.outputs(), node.origin()),
            crossing);
    Set<Value> first = new HashSet<>();
    Set<Value> second = new HashSet<>();
    Set<Value> stacks = new HashSet<>();
    for (int i = 0; i < exposed.outputs().size(); i++) {
      (put.contains(i) ? second : first).add(exposed.output(i));
      Value result = ((Repeat) exposed.op()).body().outputValues().get(i);
      if (i >= repeat.carried() && crossing.contains(result)) {
        stacks.add(exposed.output(i));
      }
    }
    if (first.isEmpty()) {
      return List.of(as(exposed, Role.WEIGHT_GRADIENT));
    }
    Node early = Slicing.rounds(exposed, first, Set.of());
    Node rest = Slicing.rounds(exposed, second, stacks);
    return List.of(as(early, Role.INPUT_GRADIENT), as(rest, Role.WEIGHT_GRADIENT));
  }

  /** The repeat with values of its body returned, stacked, those that are not yet. */
  static Node exposed(Node node, Collection<Value> inside) {
    Repeat repeat = (Repeat) node.op();
    Graph body = repeat.body();
    List<Graph.Output> stacked = body.outputs().subList(repeat.carried(), body.outputs().size());
    Set<Value> returned = new HashSet<>();
    stacked.forEach(output -> returned.add(output.value()));
    var results = new ArrayList<>(body.outputs());
    var outputs = new ArrayList<>(node.outputs());
    for (Value value : inside) {
      if (returned.add(value)) {
        results.add(new Graph.Output(value, null));
        String name = node.output(0).name() + ".kept." + value.name();
        outputs.add(
            new Value(name, value.type().with(value.type().shape().insert(0, repeat.count()))));
      }
    }
    Graph wider = new Graph(body.name(), body.inputs(), body.nodes(), results);
    return new Node(repeat.withBody(wider), node.inputs(), outputs, node.origin());
  }
}
