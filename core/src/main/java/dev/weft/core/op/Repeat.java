package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A graph run several times, as the equal layers of a model or the chunks of a loss.
 *
 * <p>Inputs: the carried values; the stacked values, of which round {@code i} gets slice {@code i}
 * of the first dim; then values that are the same in every round. The body takes the round's number
 * (i64 scalar), carried values, slices and unchanging values, and returns the carried values for
 * the next round, then slices of stacked outputs. Outputs: the carried values after the last round,
 * then the stacked outputs.
 *
 * @param body what a round computes
 * @param count how many rounds
 * @param carried how many values go from round to round
 * @param stacked how many inputs are cut into slices
 * @param reverse whether the rounds go from the last slice to the first
 */
public record Repeat(Graph body, int count, int carried, int stacked, boolean reverse)
    implements DeadCode.Prunable {
  private static final TensorType ROUND = TensorType.scalar(DataType.I64);

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    List<Value> arguments = body.inputValues();
    Check.require(
        !arguments.isEmpty() && arguments.getFirst().type().equals(ROUND),
        this,
        inputs,
        "the body's first input must be the round's number, " + ROUND);
    Check.count(this, inputs, arguments.size() - 1);
    Check.require(count >= 1, this, inputs, "count must be at least 1, found " + count);
    Check.require(
        carried >= 0 && stacked >= 0 && carried <= inputs.size() - stacked,
        this,
        inputs,
        "carried " + carried + " and stacked " + stacked + " must be among the inputs");
    Check.require(
        carried <= body.outputs().size(),
        this,
        inputs,
        "the body must return the " + carried + " carried values");
    for (int i = 0; i < inputs.size(); i++) {
      TensorType slice = arguments.get(i + 1).type();
      Check.type(this, inputs, i, isStacked(i) ? stack(slice) : slice);
    }
    var outputs = new ArrayList<TensorType>();
    List<Value> results = body.outputValues();
    for (int i = 0; i < results.size(); i++) {
      TensorType type = results.get(i).type();
      if (i < carried) {
        Check.type(this, inputs, i, type);
        outputs.add(type);
      } else {
        outputs.add(stack(type));
      }
    }
    return outputs;
  }

  /** Whether an input (not counting the round's number) is cut into slices. */
  public boolean isStacked(int input) {
    return input >= carried && input < carried + stacked;
  }

  private TensorType stack(TensorType slice) {
    return slice.with(slice.shape().insert(0, count));
  }

  /** Factors are the body's business: partitioning goes inside. The dim of rounds stays whole. */
  @Override
  public Factors factors(List<TensorType> inputs) {
    throw new UnsupportedOperationException("repeat: factors are those of the body's nodes");
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    Cost round = Cost.NONE;
    for (Node node : body.nodes()) {
      round = round.plus(node.cost());
    }
    return round.times(count);
  }

  @Override
  public List<Graph> bodies() {
    return List.of(body);
  }

  /** Two repeats are equal if they are the same object: bodies are compared by identity. */
  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }

  @Override
  public String toString() {
    return "repeat of " + body.name() + ", " + count + " rounds";
  }

  @Override
  public Node prune(Node node, Set<Value> alive) {
    var results = new ArrayList<Graph.Output>();
    var outputs = new ArrayList<Value>();
    for (int i = 0; i < node.outputs().size(); i++) {
      if (i < carried || alive.contains(node.output(i))) {
        results.add(body.outputs().get(i));
        outputs.add(node.output(i));
      }
    }
    Graph lean = DeadCode.eliminate(new Graph(body.name(), body.inputs(), body.nodes(), results));
    Set<Integer> read = withBody(lean).inputsRead();
    var arguments = new ArrayList<Graph.Input>();
    var operands = new ArrayList<Value>();
    arguments.add(body.inputs().getFirst());
    int slices = 0;
    for (int i = 0; i < node.inputs().size(); i++) {
      if (i < carried || read.contains(i)) {
        arguments.add(body.inputs().get(i + 1));
        operands.add(node.input(i));
        slices += isStacked(i) ? 1 : 0;
      }
    }
    Graph smaller = new Graph(lean.name(), arguments, lean.nodes(), lean.outputs());
    return new Node(
        new Repeat(smaller, count, carried, slices, reverse), operands, outputs, node.origin());
  }

  /** The same rounds with another body of the same arguments and results. */
  public Repeat withBody(Graph other) {
    return new Repeat(other, count, carried, stacked, reverse);
  }

  /** Which inputs, not counting the round's number, the body reads. */
  public Set<Integer> inputsRead() {
    Map<Value, Integer> index = new HashMap<>();
    List<Value> arguments = body.inputValues();
    for (int i = 1; i < arguments.size(); i++) {
      index.put(arguments.get(i), i - 1);
    }
    Set<Integer> read = new HashSet<>();
    for (Node node : body.nodes()) {
      for (Value input : node.inputs()) {
        Integer position = index.get(input);
        if (position != null) {
          read.add(position);
        }
      }
    }
    for (Value output : body.outputValues()) {
      Integer position = index.get(output);
      if (position != null) {
        read.add(position);
      }
    }
    return read;
  }
}
