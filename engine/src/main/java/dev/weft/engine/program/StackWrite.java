package dev.weft.engine.program;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.util.List;

/** Writes a round's part into the stack of all rounds; exists only in flattened graphs. */
record StackWrite() implements Op {
  static final StackWrite INSTANCE = new StackWrite();

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    return inputs;
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(1, 1, inputs.getFirst().rank());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, inputs);
  }
}
