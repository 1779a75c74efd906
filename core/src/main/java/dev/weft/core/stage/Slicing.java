package dev.weft.core.stage;

import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Takes out of a graph what makes some of its values of others. A repeat loses what is not needed:
 * results, what is carried, nodes of its body; what it has once returned, stacked, its rounds take
 * slice by slice instead of computing it again.
 */
final class Slicing {
  private Slicing() {}

  /**
   * A graph of some values.
   *
   * @param whole the graph to take it from
   * @param outputs what it shall return
   * @param available what need not be computed: inputs, and values that become inputs of kind DATA
   * @param role of the forward nodes in it
   */
  static Graph graph(
      String name, Graph whole, List<Graph.Output> outputs, Set<Value> available, Role role) {
    List<Value> wanted = outputs.stream().map(Graph.Output::value).toList();
    List<Node> nodes = nodes(whole.nodes(), wanted, available);
    Set<Value> read = new LinkedHashSet<>(wanted);
    nodes.forEach(node -> read.addAll(node.inputs()));
    outputs.stream().map(Graph.Output::donated).filter(v -> v != null).forEach(read::add);
    Set<Value> made = new HashSet<>();
    nodes.forEach(node -> made.addAll(node.outputs()));
    var inputs = new ArrayList<Graph.Input>();
    for (Graph.Input input : whole.inputs()) {
      if (read.remove(input.value())) {
        inputs.add(input);
      }
    }
    for (Node node : whole.nodes()) {
      for (Value value : node.outputs()) {
        if (read.contains(value) && !made.contains(value)) {
          inputs.add(new Graph.Input(value, Graph.Kind.DATA));
        }
      }
    }
    List<Node> stamped =
        role == Role.FORWARD ? nodes : nodes.stream().map(n -> stamped(n, role)).toList();
    return Verifier.verify("slicing", new Graph(name, inputs, stamped, outputs));
  }

  /** The nodes, in order, that make the wanted values of the available ones. */
  static List<Node> nodes(List<Node> nodes, Collection<Value> wanted, Set<Value> available) {
    Set<Value> needed = new HashSet<>(wanted);
    needed.removeAll(available);
    var kept = new ArrayList<Node>();
    for (Node node : nodes.reversed()) {
      if (node.outputs().stream().noneMatch(needed::contains)) {
        continue;
      }
      Node lean =
          node.op() instanceof Repeat
              ? rounds(node, needed, available)
              : withOutputs(pruned(node, needed), available);
      for (Value input : lean.inputs()) {
        if (!available.contains(input)) {
          needed.add(input);
        }
      }
      kept.add(lean);
    }
    return kept.reversed();
  }

  private static Node pruned(Node node, Set<Value> needed) {
    return node.op() instanceof DeadCode.Prunable op ? op.prune(node, needed) : node;
  }

  /** The node without making again what is there: that gets another name, and nobody reads it. */
  private static Node withOutputs(Node node, Set<Value> available) {
    if (node.outputs().stream().noneMatch(available::contains)) {
      return node;
    }
    var outputs = new ArrayList<Value>();
    for (Value value : node.outputs()) {
      outputs.add(available.contains(value) ? again(value) : value);
    }
    return new Node(node.op(), node.inputs(), outputs, node.origin());
  }

  private static Value again(Value value) {
    return new Value(value.name() + ".again", value.type());
  }

  /** What a repeat needs to do for some of its results. */
  static Node rounds(Node node, Set<Value> needed, Set<Value> available) {
    Repeat repeat = (Repeat) node.op();
    Graph body = repeat.body();
    List<Value> arguments = body.inputValues();
    List<Value> results = body.outputValues();
    int carried = repeat.carried();
    Set<Value> inside = new HashSet<>();
    inside.add(arguments.getFirst());
    inside.addAll(arguments.subList(1 + carried, arguments.size()));
    Map<Value, Value> stacks = new LinkedHashMap<>();
    for (int i = carried; i < results.size(); i++) {
      if (available.contains(node.output(i)) && !inside.contains(results.get(i))) {
        stacks.put(results.get(i), node.output(i));
      }
    }
    inside.addAll(stacks.keySet());
    Set<Integer> through = new TreeSet<>();
    var stacked = new ArrayList<Integer>();
    for (int i = 0; i < results.size(); i++) {
      if (needed.contains(node.output(i))) {
        if (i < carried) {
          through.add(i);
        } else {
          stacked.add(i);
        }
      }
    }
    List<Node> nodes;
    Set<Value> read;
    do {
      Set<Value> wanted = new LinkedHashSet<>();
      through.forEach(i -> wanted.add(results.get(i)));
      stacked.forEach(i -> wanted.add(results.get(i)));
      nodes = nodes(body.nodes(), wanted, inside);
      read = new HashSet<>(wanted);
      for (Node inner : nodes) {
        read.addAll(inner.inputs());
      }
    } while (grow(through, arguments.subList(1, 1 + carried), read, inside));

    var inputs = new ArrayList<Graph.Input>();
    var operands = new ArrayList<Value>();
    inputs.add(body.inputs().getFirst());
    for (int i : through) {
      inputs.add(body.inputs().get(i + 1));
      operands.add(node.input(i));
    }
    int slices = 0;
    for (int i = carried; i < carried + repeat.stacked(); i++) {
      if (read.contains(arguments.get(i + 1))) {
        inputs.add(body.inputs().get(i + 1));
        operands.add(node.input(i));
        slices++;
      }
    }
    for (Map.Entry<Value, Value> stack : stacks.entrySet()) {
      boolean carries = through.stream().anyMatch(i -> arguments.get(i + 1) == stack.getKey());
      if (read.contains(stack.getKey()) && !carries) {
        inputs.add(new Graph.Input(stack.getKey(), Graph.Kind.DATA));
        operands.add(stack.getValue());
        slices++;
      }
    }
    for (int i = carried + repeat.stacked(); i < node.inputs().size(); i++) {
      if (read.contains(arguments.get(i + 1))) {
        inputs.add(body.inputs().get(i + 1));
        operands.add(node.input(i));
      }
    }
    var outputs = new ArrayList<Graph.Output>();
    var values = new ArrayList<Value>();
    for (int i : through) {
      outputs.add(new Graph.Output(results.get(i), null));
      Value value = node.output(i);
      values.add(available.contains(value) ? again(value) : value);
    }
    for (int i : stacked) {
      outputs.add(new Graph.Output(results.get(i), null));
      values.add(node.output(i));
    }
    Graph lean = new Graph(body.name(), inputs, nodes, outputs);
    return new Node(
        new Repeat(lean, repeat.count(), through.size(), slices, repeat.reverse()),
        operands,
        values,
        node.origin());
  }

  /** Carries what a round reads of the one before and has not otherwise. */
  private static boolean grow(
      Set<Integer> through, List<Value> carriedIn, Set<Value> read, Set<Value> inside) {
    boolean grown = false;
    for (int i = 0; i < carriedIn.size(); i++) {
      Value argument = carriedIn.get(i);
      if (read.contains(argument) && !inside.contains(argument)) {
        grown |= through.add(i);
      }
    }
    return grown;
  }

  /** Forward nodes in another role, in rounds too. */
  private static Node stamped(Node node, Role role) {
    Origin origin = node.origin().role() == Role.FORWARD ? node.origin().as(role) : node.origin();
    if (!(node.op() instanceof Repeat repeat)) {
      return new Node(node.op(), node.inputs(), node.outputs(), origin);
    }
    Graph body = repeat.body();
    List<Node> nodes = body.nodes().stream().map(n -> stamped(n, role)).toList();
    Graph other = new Graph(body.name(), body.inputs(), nodes, body.outputs());
    return new Node(repeat.withBody(other), node.inputs(), node.outputs(), origin);
  }
}
