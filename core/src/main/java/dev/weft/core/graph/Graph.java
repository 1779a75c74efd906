package dev.weft.core.graph;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * An immutable program on tensors: nodes stand in an order in which every value is made before it
 * is used.
 */
public record Graph(String name, List<Input> inputs, List<Node> nodes, List<Output> outputs) {
  /** What an input is to a training step. */
  public enum Kind {
    /** A batch, or any other argument. */
    DATA,
    PARAMETER,
    /** What lives from step to step beside the parameters: optimizer slots, a cache. */
    STATE,
    /** A number that changes from step to step: step, offset, seed, learning rate. */
    FACT,
    ACCUMULATOR
  }

  /** A value that the caller gives. */
  public record Input(Value value, Kind kind) {}

  /**
   * A value that the caller gets.
   *
   * @param donated the input whose memory the output takes over; null for memory of its own
   */
  public record Output(Value value, @Nullable Value donated) {}

  public Graph {
    inputs = List.copyOf(inputs);
    nodes = List.copyOf(nodes);
    outputs = List.copyOf(outputs);
  }

  public List<Value> inputValues() {
    return inputs.stream().map(Input::value).toList();
  }

  public List<Value> outputValues() {
    return outputs.stream().map(Output::value).toList();
  }

  /** The inputs of one kind, in order. */
  public List<Value> inputs(Kind kind) {
    return inputs.stream().filter(i -> i.kind() == kind).map(Input::value).toList();
  }

  /** The input of that name. */
  public Optional<Value> input(String inputName) {
    return inputValues().stream().filter(v -> v.name().equals(inputName)).findFirst();
  }

  /** Who makes each value; inputs are missing. */
  public Map<Value, Node> producers() {
    var producers = new HashMap<Value, Node>();
    for (Node node : nodes) {
      for (Value output : node.outputs()) {
        producers.put(output, node);
      }
    }
    return producers;
  }

  /** Who reads each value, in order, once per node; values that nobody reads are missing. */
  public Map<Value, List<Node>> consumers() {
    var consumers = new HashMap<Value, List<Node>>();
    for (Node node : nodes) {
      for (Value input : node.inputs().stream().distinct().toList()) {
        consumers.computeIfAbsent(input, _ -> new ArrayList<>()).add(node);
      }
    }
    return consumers;
  }

  /** The graph with other values in the place of some, of the same types; not inside repeats. */
  public Graph replaced(Map<Value, Value> values) {
    UnaryOperator<Value> other = value -> values.getOrDefault(value, value);
    return new Graph(
        name,
        inputs.stream().map(i -> new Input(other.apply(i.value()), i.kind())).toList(),
        nodes.stream()
            .map(
                node ->
                    new Node(
                        node.op(),
                        node.inputs().stream().map(other).toList(),
                        node.outputs().stream().map(other).toList(),
                        node.origin()))
            .toList(),
        outputs.stream()
            .map(
                o ->
                    new Output(
                        other.apply(o.value()),
                        o.donated() == null ? null : other.apply(o.donated())))
            .toList());
  }

  public Graph withName(String other) {
    return new Graph(other, inputs, nodes, outputs);
  }
}
