package dev.weft.core.grad;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Broadcast;
import dev.weft.core.op.Cast;
import dev.weft.core.op.DynamicSlice;
import dev.weft.core.op.Embedding;
import dev.weft.core.op.Gather;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Reshape;
import dev.weft.core.op.Slice;
import dev.weft.core.op.Transpose;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Takes parameters in the narrow type that a graph computes in, where it does nothing with them but
 * cast them. Who runs such a graph often rounds once and not every time; the results are the same.
 */
public final class NarrowParameters {
  private final DataType narrow;
  private final Builder builder;

  /** Each value of the graph before as it is now. */
  private final Map<Value, Value> now = new HashMap<>();

  /** Values of the graph before that are wide there and narrow now. */
  private final Set<Value> narrowed = new HashSet<>();

  private final Map<Value, Value> widened = new HashMap<>();

  private NarrowParameters(String name, DataType narrow) {
    this.narrow = narrow;
    this.builder = new Builder(name);
  }

  /** The names of the f32 parameters that are only ever used rounded. */
  public static Set<String> names(Graph graph, DataType narrow) {
    Set<String> names = new HashSet<>();
    if (!isNarrow(narrow)) {
      return names;
    }
    for (Value parameter : graph.inputs(Graph.Kind.PARAMETER)) {
      if (parameter.dtype() == DataType.F32 && isOnlyRounded(parameter, graph, narrow)) {
        names.add(parameter.name());
      }
    }
    return names;
  }

  private static boolean isNarrow(DataType dtype) {
    return dtype == DataType.BF16 || dtype == DataType.F16;
  }

  private static boolean isOnlyRounded(Value value, Graph graph, DataType narrow) {
    if (graph.outputValues().contains(value)) {
      return false;
    }
    return graph.nodes().stream()
        .filter(node -> node.inputs().contains(value))
        .allMatch(
            node ->
                switch (node.op()) {
                  case Cast(DataType to) -> to == narrow;
                  case Repeat repeat -> isOnlyRounded(value, node, repeat, narrow);
                  default ->
                      moves(node.op())
                          && node.inputs().indexOf(value) == 0
                          && isOnlyRounded(node.output(0), graph, narrow);
                });
  }

  private static boolean isOnlyRounded(Value value, Node node, Repeat repeat, DataType narrow) {
    for (int i = 0; i < node.inputs().size(); i++) {
      if (node.input(i) == value
          && (i < repeat.carried()
              || !isOnlyRounded(
                  repeat.body().inputs().get(i + 1).value(), repeat.body(), narrow))) {
        return false;
      }
    }
    return true;
  }

  /** Whether each number of the result is one of the first operand's, so that rounding may wait. */
  private static boolean moves(Op op) {
    return op instanceof Embedding
        || op instanceof Gather
        || op instanceof Slice
        || op instanceof DynamicSlice
        || op instanceof Reshape
        || op instanceof Transpose
        || op instanceof Broadcast;
  }

  /**
   * The graph with some f32 parameters narrow; what it does with them in f32 begins with a cast.
   *
   * @param names which, for example {@link #names} of this graph, or of one with the same
   *     parameters
   */
  public static Graph apply(Graph graph, DataType narrow, Set<String> names) {
    if (!isNarrow(narrow)) {
      return graph;
    }
    return new NarrowParameters(graph.name(), narrow)
        .convert(
            graph,
            input ->
                input.kind() == Graph.Kind.PARAMETER
                    && input.value().dtype() == DataType.F32
                    && names.contains(input.value().name()));
  }

  private Graph convert(Graph graph, Predicate<Graph.Input> isChosen) {
    for (Graph.Input input : graph.inputs()) {
      Value value = input.value();
      boolean chosen = isChosen.test(input);
      now.put(
          value,
          builder.input(
              value.name(), chosen ? value.type().with(narrow) : value.type(), input.kind()));
      if (chosen) {
        narrowed.add(value);
      }
    }
    graph.nodes().forEach(this::convert);
    for (Graph.Output output : graph.outputs()) {
      builder.output(wide(output.value()), output.donated() == null ? null : now(output.donated()));
    }
    return builder.build();
  }

  private void convert(Node node) {
    builder.origin(node.origin());
    boolean first = !node.inputs().isEmpty() && narrowed.contains(node.input(0));
    switch (node.op()) {
      case Cast(DataType to) when first && to == narrow ->
          now.put(node.output(0), now(node.input(0)));
      case Repeat repeat -> convert(node, repeat);
      default -> {
        if (first && moves(node.op())) {
          narrowed.add(node.output(0));
          emit(node, node.op(), node.inputs().stream().map(this::now).toList());
        } else {
          emit(node, node.op(), node.inputs().stream().map(this::wide).toList());
        }
      }
    }
  }

  private void convert(Node node, Repeat repeat) {
    Set<Value> chosen = new HashSet<>();
    var operands = new ArrayList<Value>();
    for (int i = 0; i < node.inputs().size(); i++) {
      Value operand = node.input(i);
      boolean stays = i >= repeat.carried() && narrowed.contains(operand);
      operands.add(stays ? now(operand) : wide(operand));
      if (stays) {
        chosen.add(repeat.body().inputs().get(i + 1).value());
      }
    }
    Graph body = repeat.body();
    if (!chosen.isEmpty()) {
      body =
          new NarrowParameters(body.name(), narrow)
              .convert(body, input -> chosen.contains(input.value()));
    }
    emit(node, repeat.withBody(body), operands);
  }

  private void emit(Node node, Op op, List<Value> inputs) {
    List<String> names = node.outputs().stream().map(Value::name).toList();
    List<Value> results = builder.add(op, inputs, names);
    for (int i = 0; i < results.size(); i++) {
      now.put(node.output(i), results.get(i));
    }
  }

  private Value now(Value before) {
    Value value = now.get(before);
    if (value == null) {
      throw new IllegalStateException(before + " is used before it is made");
    }
    return value;
  }

  /** The value in the type that it had before. */
  private Value wide(Value before) {
    if (!narrowed.contains(before)) {
      return now(before);
    }
    return widened.computeIfAbsent(
        before,
        value ->
            builder
                .add(
                    new Cast(value.dtype()),
                    List.of(now(value)),
                    List.of(value.name() + "." + value.dtype().text()))
                .getFirst());
  }
}
