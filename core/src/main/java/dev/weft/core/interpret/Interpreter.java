package dev.weft.core.interpret;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Composite;
import dev.weft.core.op.Expansion;
import dev.weft.core.op.Primitive;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Runs any graph with doubles and longs: primitives by their reference, composites by their
 * expansion, repeats round by round. Slow, exact and without native code.
 */
public final class Interpreter {
  /** Is shown every value that is computed, in order. */
  public interface Observer {
    /**
     * Sees one value.
     *
     * @param node the node that made it; within a composite or repeat, the inner node
     * @param value the value made
     * @param literal what it is now
     */
    void computed(Node node, Value value, Literal literal);
  }

  private record Call(Op op, List<TensorType> types) {}

  private final Observer observer;
  private final Map<Call, Graph> expansions = new HashMap<>();
  private final IdentityHashMap<Graph, List<List<Value>>> lastUses = new IdentityHashMap<>();

  Interpreter(Observer observer) {
    this.observer = observer;
  }

  /** The outputs of a graph for the given inputs. */
  public static List<Literal> run(Graph graph, List<Literal> inputs) {
    return run(graph, inputs, (_, _, _) -> {});
  }

  /**
   * The outputs of a graph for the given inputs; every value on the way is shown to the observer.
   *
   * @throws IllegalArgumentException if the inputs are not of the graph's types
   */
  public static List<Literal> run(Graph graph, List<Literal> inputs, Observer observer) {
    List<TensorType> expected = graph.inputValues().stream().map(Value::type).toList();
    List<TensorType> found = inputs.stream().map(Literal::type).toList();
    if (!expected.equals(found)) {
      throw new IllegalArgumentException(
          "graph " + graph.name() + " takes " + expected + ", found " + found);
    }
    return new Interpreter(observer).evaluate(graph, inputs);
  }

  private List<Literal> evaluate(Graph graph, List<Literal> inputs) {
    List<List<Value>> lastUse = lastUses.computeIfAbsent(graph, Interpreter::lastUses);
    var values = new HashMap<Value, Literal>();
    for (int i = 0; i < inputs.size(); i++) {
      values.put(graph.inputs().get(i).value(), inputs.get(i));
    }
    for (int index = 0; index < graph.nodes().size(); index++) {
      Node node = graph.nodes().get(index);
      List<Literal> results =
          apply(node, node.inputs().stream().map(v -> value(values, v)).toList());
      for (int i = 0; i < results.size(); i++) {
        Value output = node.output(i);
        if (!results.get(i).type().equals(output.type())) {
          throw new IllegalStateException(
              node.op().name() + " made " + results.get(i).type() + " for " + output);
        }
        values.put(output, results.get(i));
        observer.computed(node, output, results.get(i));
      }
      lastUse.get(index).forEach(values::remove);
    }
    return graph.outputValues().stream().map(v -> value(values, v)).toList();
  }

  static Literal value(Map<Value, Literal> values, Value value) {
    return Objects.requireNonNull(values.get(value), () -> value + " is used before it is made");
  }

  /** Per node the values that nobody needs after it. */
  static List<List<Value>> lastUses(Graph graph) {
    var seen = new HashSet<Value>(graph.outputValues());
    var uses = new ArrayList<List<Value>>();
    for (Node node : graph.nodes().reversed()) {
      var last = new ArrayList<Value>();
      for (Value input : node.inputs()) {
        if (seen.add(input)) {
          last.add(input);
        }
      }
      for (Value output : node.outputs()) {
        if (seen.add(output)) {
          last.add(output);
        }
      }
      uses.add(last);
    }
    return uses.reversed();
  }

  /** What a node makes of its inputs. */
  List<Literal> apply(Node node, List<Literal> inputs) {
    return switch (node.op()) {
      case Primitive primitive -> primitive.reference(inputs);
      case Composite composite -> {
        Graph expansion =
            expansions.computeIfAbsent(
                new Call(composite, node.inputTypes()),
                call -> Expansion.graph(composite, call.types));
        yield evaluate(expansion, inputs);
      }
      case Repeat repeat -> repeat(repeat, inputs);
      default ->
          throw new IllegalStateException(
              node.op().name() + " is neither a primitive, a composite nor a repeat");
    };
  }

  private List<Literal> repeat(Repeat repeat, List<Literal> inputs) {
    Graph body = repeat.body();
    List<Literal> carried = inputs.subList(0, repeat.carried());
    var stacks = new ArrayList<Stack>();
    for (Graph.Output output : body.outputs().subList(repeat.carried(), body.outputs().size())) {
      stacks.add(new Stack(output.value().type(), repeat.count()));
    }
    for (int round = 0; round < repeat.count(); round++) {
      int index = repeat.reverse() ? repeat.count() - 1 - round : round;
      var arguments = new ArrayList<Literal>();
      arguments.add(Literal.scalar(body.inputValues().getFirst().dtype(), index));
      arguments.addAll(carried);
      for (int i = repeat.carried(); i < inputs.size(); i++) {
        arguments.add(repeat.isStacked(i) ? Stack.slice(inputs.get(i), index) : inputs.get(i));
      }
      List<Literal> results = evaluate(body, arguments);
      carried = results.subList(0, repeat.carried());
      for (int i = 0; i < stacks.size(); i++) {
        stacks.get(i).set(index, results.get(repeat.carried() + i));
      }
    }
    var outputs = new ArrayList<>(carried);
    stacks.forEach(stack -> outputs.add(stack.literal()));
    return outputs;
  }
}
