package dev.weft.core.grad;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.Broadcast;
import dev.weft.core.op.Cast;
import dev.weft.core.op.Constant;
import dev.weft.core.op.Divide;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.LinearCrossEntropyWithGradient;
import dev.weft.core.op.Multiply;
import dev.weft.core.op.Primitive;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Reshape;
import dev.weft.core.op.ScatterAdd;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Substitution;
import dev.weft.core.op.Subtract;
import dev.weft.core.op.Transpose;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/** One pass of algebra over a graph, repeats' bodies included. */
final class Simplify {
  private final Graph graph;
  private final List<Node> nodes = new ArrayList<>();
  private final Map<Value, Node> producers = new HashMap<>();
  private final Map<Value, Value> replaced = new HashMap<>();
  private final Map<Value, Integer> uses = new HashMap<>();
  private final Map<List<Object>, Node> withGradient = new HashMap<>();

  private Simplify(Graph graph) {
    this.graph = graph;
  }

  static Graph simplify(Graph graph) {
    return new Simplify(graph).run();
  }

  private Graph run() {
    for (Node node : graph.nodes()) {
      node.inputs().forEach(v -> uses.merge(v, 1, Integer::sum));
      if (node.op() instanceof LinearCrossEntropyWithGradient both) {
        withGradient.putIfAbsent(
            List.of(both.chunkRows(), both.ignoreIndex(), node.inputs()), node);
      }
    }
    graph.outputValues().forEach(v -> uses.merge(v, 1, Integer::sum));
    for (Node node : graph.nodes()) {
      List<Value> inputs = node.inputs().stream().map(v -> replaced.getOrDefault(v, v)).toList();
      Op op =
          node.op() instanceof Repeat repeat ? repeat.withBody(simplify(repeat.body())) : node.op();
      visit(new Node(op, inputs, node.outputs(), node.origin()), node.inputs());
    }
    return new Graph(graph.name(), graph.inputs(), nodes, Substitution.outputs(graph, replaced));
  }

  private void visit(Node node, List<Value> originalInputs) {
    if (producers.containsKey(node.output(0))) {
      return;
    }
    if (node.outputs().size() == 1) {
      Value same = identity(node);
      if (same != null && same.type().equals(node.output(0).type())) {
        replaced.put(node.output(0), same);
        return;
      }
    }
    if (node.op() instanceof LinearCrossEntropy loss) {
      Node both = withGradient.get(List.of(loss.chunkRows(), loss.ignoreIndex(), originalInputs));
      if (both != null) {
        if (!producers.containsKey(both.output(0))) {
          emit(new Node(both.op(), node.inputs(), both.outputs(), node.origin().as(Role.FORWARD)));
        }
        replaced.put(node.output(0), both.output(0));
        return;
      }
    }
    if (sinkIntoRepeat(node)) {
      return;
    }
    emit(fold(node).or(() -> collapse(node)).or(() -> mergeScatter(node)).orElse(node));
  }

  private void emit(Node node) {
    nodes.add(node);
    node.outputs().forEach(v -> producers.put(v, node));
  }

  /** The value that a node gives back unchanged. */
  private @Nullable Value identity(Node node) {
    return switch (node.op()) {
      case Add _ -> {
        if (isSplat(node.input(1), 0)) {
          yield node.input(0);
        }
        yield isSplat(node.input(0), 0) ? node.input(1) : null;
      }
      case Subtract _ -> isSplat(node.input(1), 0) ? node.input(0) : null;
      case Multiply _ -> {
        if (isSplat(node.input(1), 1)) {
          yield node.input(0);
        }
        yield isSplat(node.input(0), 1) ? node.input(1) : null;
      }
      case Divide _ -> isSplat(node.input(1), 1) ? node.input(0) : null;
      case Shard shard -> {
        Node before = producers.get(node.input(0));
        boolean known = before != null && before.op().equals(shard);
        yield known || shard.spec().isOpen() ? node.input(0) : null;
      }
      case Cast _, Reshape _, Broadcast _ ->
          node.input(0).type().equals(node.output(0).type()) ? node.input(0) : null;
      case Transpose transpose -> {
        boolean still = true;
        for (int dim = 0; dim < transpose.permutation().size(); dim++) {
          still &= transpose.permutation().get(dim) == dim;
        }
        yield still ? node.input(0) : null;
      }
      default -> null;
    };
  }

  private boolean isSplat(Value value, double number) {
    OptionalDouble splat = splat(value);
    return splat.isPresent() && splat.getAsDouble() == number;
  }

  /** The number that a value is everywhere, where that is known. */
  private OptionalDouble splat(Value value) {
    Node producer = producers.get(value);
    if (producer == null) {
      return OptionalDouble.empty();
    }
    return switch (producer.op()) {
      case Constant(Literal literal) when literal.elements() == 1 ->
          OptionalDouble.of(literal.asDouble(0));
      case Broadcast _, Reshape _ -> splat(producer.input(0));
      default -> OptionalDouble.empty();
    };
  }

  /** Computes a node on scalar constants now. */
  private Optional<Node> fold(Node node) {
    if (!(node.op() instanceof Primitive primitive)
        || node.op() instanceof Constant
        || node.inputs().isEmpty()
        || node.outputs().size() != 1
        || node.output(0).type().elements() != 1) {
      return Optional.empty();
    }
    var literals = new ArrayList<Literal>();
    for (Value input : node.inputs()) {
      Node producer = producers.get(input);
      if (producer == null || !(producer.op() instanceof Constant(Literal literal))) {
        return Optional.empty();
      }
      literals.add(literal);
    }
    Literal result = rounded(primitive.reference(literals).getFirst());
    return Optional.of(new Node(new Constant(result), List.of(), node.outputs(), node.origin()));
  }

  private static Literal rounded(Literal literal) {
    return literal.type().dtype().isFloat()
        ? new Cast(literal.type().dtype()).reference(List.of(literal)).getFirst()
        : literal;
  }

  /** Whether every float of one type is one of the other. */
  private static boolean isLossless(DataType from, DataType to) {
    return from == to
        || (to == DataType.F64 && from.isFloat())
        || (to == DataType.F32 && (from == DataType.BF16 || from == DataType.F16));
  }

  /** Two reshapes, transposes, or casts of which the first loses nothing, are one. */
  private Optional<Node> collapse(Node node) {
    Node before = node.inputs().size() == 1 ? producers.get(node.input(0)) : null;
    if (before == null) {
      return Optional.empty();
    }
    if (node.op() instanceof Cast
        && before.op() instanceof Cast
        && isLossless(before.input(0).dtype(), before.output(0).dtype())) {
      return Optional.of(new Node(node.op(), before.inputs(), node.outputs(), node.origin()));
    }
    if (node.op() instanceof Reshape && before.op() instanceof Reshape) {
      return Optional.of(new Node(node.op(), before.inputs(), node.outputs(), node.origin()));
    }
    if (node.op() instanceof Transpose second && before.op() instanceof Transpose first) {
      List<Integer> both =
          second.permutation().stream().map(d -> first.permutation().get(d)).toList();
      return Optional.of(
          new Node(new Transpose(both), before.inputs(), node.outputs(), node.origin()));
    }
    return Optional.empty();
  }

  /** Scattering into zeros and adding the result to something is scattering into that. */
  private Optional<Node> mergeScatter(Node node) {
    if (!(node.op() instanceof Add)) {
      return Optional.empty();
    }
    for (int operand = 1; operand >= 0; operand--) {
      Value scattered = node.input(operand);
      Node scatter = producers.get(scattered);
      if (scatter != null
          && scatter.op() instanceof ScatterAdd
          && uses.getOrDefault(scattered, 0) == 1
          && isSplat(scatter.input(0), 0)) {
        return Optional.of(
            new Node(
                scatter.op(),
                List.of(node.input(1 - operand), scatter.input(1), scatter.input(2)),
                node.outputs(),
                scatter.origin()));
      }
    }
    return Optional.empty();
  }

  /**
   * Something added to a sum that a repeat makes from zero is what the sum starts with, where it is
   * known before the repeat. The addition is gone then.
   */
  private boolean sinkIntoRepeat(Node node) {
    if (!(node.op() instanceof Add)) {
      return false;
    }
    for (int operand = 1; operand >= 0; operand--) {
      Value sum = node.input(operand);
      Value start = node.input(1 - operand);
      Node loop = producers.get(sum);
      if (loop == null
          || !(loop.op() instanceof Repeat repeat)
          || uses.getOrDefault(sum, 0) != 1
          || loop.outputs().indexOf(sum) >= repeat.carried()) {
        continue;
      }
      int index = loop.outputs().indexOf(sum);
      if (!isSplat(loop.input(index), 0) || !isSum(repeat, index) || !isKnownBefore(start, loop)) {
        continue;
      }
      var operands = new ArrayList<>(loop.inputs());
      operands.set(index, start);
      var outputs = new ArrayList<>(loop.outputs());
      outputs.set(index, node.output(0));
      Node seeded = new Node(repeat, operands, outputs, loop.origin());
      nodes.set(nodes.indexOf(loop), seeded);
      producers.remove(sum);
      outputs.forEach(v -> producers.put(v, seeded));
      return true;
    }
    return false;
  }

  private boolean isKnownBefore(Value value, Node node) {
    if (graph.inputValues().contains(value)) {
      return true;
    }
    Node producer = producers.get(value);
    return producer != null && nodes.indexOf(producer) < nodes.indexOf(node);
  }

  /** Whether a round only adds to the carried value, and does nothing else with the sum. */
  private static boolean isSum(Repeat repeat, int index) {
    Graph body = repeat.body();
    Map<Value, List<Node>> consumers = body.consumers();
    List<Value> results = body.outputValues();
    Value sum = body.inputValues().get(index + 1);
    Value result = results.get(index);
    while (sum != result) {
      Value before = sum;
      List<Node> readers = consumers.getOrDefault(before, List.of());
      if (readers.size() != 1 || results.contains(before)) {
        return false;
      }
      Node reader = readers.getFirst();
      boolean adds =
          reader.op() instanceof Add
              || (reader.op() instanceof ScatterAdd && reader.input(0) == before);
      if (!adds || reader.inputs().stream().filter(v -> v == before).count() != 1) {
        return false;
      }
      sum = reader.output(0);
    }
    return !consumers.containsKey(result) && results.stream().filter(v -> v == result).count() == 1;
  }
}
