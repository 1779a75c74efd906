package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.stage.RepeatSplit.Rows;
import dev.weft.core.trace.Parameter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Which layers of stacked parameters each piece has. Where the pieces' layers would overlap without
 * being the same, as with layers that are used twice, each has all.
 */
final class ParameterRows {
  private final RepeatSplit split;
  private final Map<Value, Parameter> parameters = new LinkedHashMap<>();
  private final List<Map<Value, Rows>> ofPieces = new ArrayList<>();

  ParameterRows(RepeatSplit split, List<Parameter> all, List<List<Node>> pieces) {
    this.split = split;
    List<Value> values = split.graph().inputs(Graph.Kind.PARAMETER);
    if (values.size() != all.size()) {
      throw new IllegalArgumentException(
          all.size() + " parameters for a graph that takes " + values.size());
    }
    for (int i = 0; i < values.size(); i++) {
      parameters.put(values.get(i), all.get(i));
    }
    pieces.forEach(nodes -> ofPieces.add(read(nodes)));
    for (Value value : parameters.keySet()) {
      List<Rows> rows = ofPieces.stream().map(m -> m.get(value)).filter(Objects::nonNull).toList();
      boolean apart =
          rows.stream().allMatch(a -> rows.stream().allMatch(b -> a.equals(b) || !a.meets(b)));
      if (!apart) {
        ofPieces.forEach(m -> m.computeIfPresent(value, (v, _) -> all(v)));
      }
    }
    // What no node reads is a parameter all the same, and is saved with the others.
    for (Value value : parameters.keySet()) {
      if (ofPieces.stream().noneMatch(m -> m.containsKey(value))) {
        ofPieces.getFirst().put(value, all(value));
      }
    }
  }

  private Map<Value, Rows> read(List<Node> nodes) {
    var read = new HashMap<Value, Rows>();
    for (Node node : nodes) {
      Rows taken = split.rows().get(node);
      for (Value input : node.inputs()) {
        Parameter parameter = parameters.get(input);
        if (parameter != null) {
          Rows rows = taken != null && parameter.stackedDims() > 0 ? taken : all(input);
          read.merge(
              input,
              rows,
              (a, b) -> new Rows(Math.min(a.from(), b.from()), Math.max(a.to(), b.to())));
        }
      }
    }
    return read;
  }

  private static Rows all(Value value) {
    return new Rows(0, value.type().rank() == 0 ? 1 : Math.toIntExact(value.type().size(0)));
  }

  /**
   * A piece's parameters and its nodes that read them.
   *
   * @param values the graph's inputs
   * @param nodes reading these inputs instead of the whole parameters
   */
  record Adapted(List<Value> values, List<Parameter> parameters, List<Node> nodes) {}

  Adapted adapt(int piece, List<Node> nodes) {
    Map<Value, Rows> rows = ofPieces.get(piece);
    var values = new ArrayList<Value>();
    var own = new ArrayList<Parameter>();
    var parts = new HashMap<Value, Value>();
    parameters.forEach(
        (value, parameter) -> {
          Rows range = rows.get(value);
          if (range != null && range.equals(all(value))) {
            values.add(value);
            own.add(parameter);
          } else if (range != null) {
            Parameter part = parameter.layers(range.from(), range.to());
            Value input = new Value(part.key(), part.type());
            parts.put(value, input);
            values.add(input);
            own.add(part);
          }
        });
    var adapted = new ArrayList<Node>();
    var replaced = new HashMap<Value, Value>();
    for (Node node : nodes) {
      @Nullable Rows taken = split.rows().get(node);
      Value part = taken == null ? null : parts.get(node.input(0));
      if (taken == null || part == null) {
        List<Value> inputs = node.inputs().stream().map(v -> replaced.getOrDefault(v, v)).toList();
        adapted.add(new Node(node.op(), inputs, node.outputs(), node.origin()));
        continue;
      }
      Rows range = Objects.requireNonNull(rows.get(node.input(0)));
      if (taken.equals(range)) {
        replaced.put(node.output(0), part);
      } else {
        Rows within = new Rows(taken.from() - range.from(), taken.to() - range.from());
        adapted.add(
            new Node(
                RepeatSplit.rows(part.type(), within),
                List.of(part),
                node.outputs(),
                node.origin()));
      }
    }
    return new Adapted(values, own, adapted);
  }
}
