package dev.weft.core.graph;

import java.util.List;

/** One application of an op. */
public record Node(Op op, List<Value> inputs, List<Value> outputs, Origin origin) {
  public Node {
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
  }

  public Value input(int index) {
    return inputs.get(index);
  }

  public Value output(int index) {
    return outputs.get(index);
  }

  /** The types of the inputs, in order. */
  public List<TensorType> inputTypes() {
    return inputs.stream().map(Value::type).toList();
  }

  public Cost cost() {
    return op.cost(inputTypes());
  }
}
