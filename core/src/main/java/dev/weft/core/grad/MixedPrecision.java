package dev.weft.core.grad;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Attention;
import dev.weft.core.op.BatchNorm;
import dev.weft.core.op.Broadcast;
import dev.weft.core.op.CachedAttention;
import dev.weft.core.op.Cast;
import dev.weft.core.op.Convolution;
import dev.weft.core.op.CrossEntropy;
import dev.weft.core.op.Cumsum;
import dev.weft.core.op.Einsum;
import dev.weft.core.op.Embedding;
import dev.weft.core.op.Exp;
import dev.weft.core.op.GlobalNorm;
import dev.weft.core.op.GroupNorm;
import dev.weft.core.op.LayerNorm;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.Log;
import dev.weft.core.op.LogSoftmax;
import dev.weft.core.op.Matmul;
import dev.weft.core.op.Mean;
import dev.weft.core.op.Power;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Reshape;
import dev.weft.core.op.Rsqrt;
import dev.weft.core.op.Softmax;
import dev.weft.core.op.Sqrt;
import dev.weft.core.op.Sum;
import dev.weft.core.op.SumSquares;
import dev.weft.core.op.Transpose;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Lets a forward graph of f32 compute in a narrower type. Parameters stay f32. Products run in the
 * narrow type; sums, normalisations and losses in f32; everything else follows its activations.
 *
 * <p>Values made of parameters and constants alone are <em>weak</em>: they stay f32 among
 * themselves and take the type of the activation that they meet. Gradients need no care: they
 * arrive at parameters through casts, in f32.
 */
public final class MixedPrecision {
  private final DataType narrow;
  private final Builder builder;
  private final Map<Value, Value> now = new HashMap<>();
  private final Map<Value, Node> makers = new HashMap<>();
  private final Set<Value> weak = new HashSet<>();
  private final Map<Value, Value> narrowed = new HashMap<>();
  private final Map<Value, Value> widened = new HashMap<>();

  private MixedPrecision(String name, DataType narrow) {
    this.narrow = narrow;
    this.builder = new Builder(name);
  }

  /**
   * The graph with its products in a narrower type; inputs and outputs keep their types.
   *
   * @param narrow the type to compute in; f32 and f64 change nothing
   */
  public static Graph apply(Graph graph, DataType narrow) {
    return apply(graph, narrow, Set.of());
  }

  /**
   * The same, with some inputs of the narrow type too, and outputs that are donated their memory.
   *
   * @param narrowInputs f32 inputs that become narrow, as a cache of keys and values
   */
  public static Graph apply(Graph graph, DataType narrow, Set<Value> narrowInputs) {
    if (narrow != DataType.BF16 && narrow != DataType.F16) {
      return graph;
    }
    var pass = new MixedPrecision(graph.name(), narrow);
    for (Graph.Input input : graph.inputs()) {
      Value value = input.value();
      if (narrowInputs.contains(value)) {
        pass.now.put(
            value, pass.builder.input(value.name(), value.type().with(narrow), input.kind()));
      } else {
        pass.builder.append(input);
        pass.now.put(value, value);
        if (input.kind() == Graph.Kind.PARAMETER) {
          pass.weak.add(value);
        }
      }
    }
    graph.nodes().forEach(pass::convert);
    for (Graph.Output output : graph.outputs()) {
      Value donated = output.donated() == null ? null : pass.now.get(output.donated());
      DataType type = donated == null ? output.value().dtype() : donated.dtype();
      pass.builder.output(pass.as(pass.current(output.value()), type), donated);
    }
    return pass.builder.build();
  }

  private Value current(Value original) {
    Value value = now.get(original);
    if (value == null) {
      throw new IllegalStateException(original + " is used before it is made");
    }
    return value;
  }

  private void convert(Node node) {
    builder.origin(node.origin());
    List<Value> inputs = node.inputs().stream().map(this::current).toList();
    switch (node.op()) {
      case Repeat repeat -> convertRepeat(node, repeat, inputs);
      case Matmul _,
          Einsum _,
          Attention _,
          CachedAttention _,
          Convolution _,
          LinearCrossEntropy _ ->
          emit(node, node.op(), all(inputs, narrow), false);
      case Embedding _ -> {
        // Rows are picked before they are rounded: the table's gradient adds up in f32.
        Value rows = builder.add(node.op(), inputs, List.of(node.output(0).name())).getFirst();
        makers.put(rows, node);
        now.put(node.output(0), as(rows, narrow));
      }
      case LayerNorm _, GroupNorm _, BatchNorm _ -> {
        var all = new ArrayList<>(List.of(inputs.getFirst()));
        inputs.subList(1, inputs.size()).forEach(v -> all.add(as(v, DataType.F32)));
        emit(node, node.op(), all, false);
      }
      case CrossEntropy _ -> emit(node, node.op(), inputs, false);
      case Sum _,
          SumSquares _,
          Mean _,
          Cumsum _,
          Softmax _,
          LogSoftmax _,
          Exp _,
          Log _,
          Power _,
          Sqrt _,
          Rsqrt _,
          GlobalNorm _ ->
          emit(node, node.op(), all(inputs, DataType.F32), weak.containsAll(inputs));
      // A mask made of whole numbers takes part in any type; a float that is asked for stays.
      case Cast _ ->
          emit(
              node,
              node.op(),
              inputs,
              weak.containsAll(inputs) || !inputs.getFirst().dtype().isFloat());
      default -> follow(node, inputs);
    }
  }

  /** The narrow type where all activations have it, else f32. */
  private void follow(Node node, List<Value> inputs) {
    boolean anyNarrow = inputs.stream().anyMatch(v -> v.dtype() == narrow);
    boolean strongWide =
        inputs.stream().anyMatch(v -> v.dtype() == DataType.F32 && !weak.contains(v));
    boolean stays =
        inputs.stream().filter(v -> v.dtype().isFloat()).allMatch(weak::contains) && !anyNarrow;
    DataType type = anyNarrow && !strongWide ? narrow : DataType.F32;
    emit(node, node.op(), all(inputs, type), stays);
  }

  private void emit(Node node, Op op, List<Value> inputs, boolean stays) {
    List<Value> results = builder.add(op, inputs, names(node));
    Node made = new Node(op, inputs, results, node.origin());
    for (int i = 0; i < results.size(); i++) {
      Value result = results.get(i);
      now.put(node.output(i), result);
      makers.put(result, made);
      if (stays && result.dtype() == DataType.F32) {
        weak.add(result);
      }
    }
  }

  private static List<String> names(Node node) {
    return node.outputs().stream().map(Value::name).toList();
  }

  private List<Value> all(List<Value> values, DataType type) {
    return values.stream().map(v -> as(v, type)).toList();
  }

  /** A value of f32 or the narrow type as one of them; any other as it is. */
  private Value as(Value value, DataType type) {
    boolean takesPart = value.dtype() == DataType.F32 || value.dtype() == narrow;
    if (!takesPart || value.dtype() == type) {
      return value;
    }
    Map<Value, Value> known = type == narrow ? narrowed : widened;
    Value before = known.get(value);
    if (before != null) {
      return before;
    }
    Node maker = makers.get(value);
    Op op = new Cast(type);
    Value source = value;
    // The small source is cast, not what was spread out from it.
    if (weak.contains(value)
        && maker != null
        && (maker.op() instanceof Broadcast
            || maker.op() instanceof Reshape
            || maker.op() instanceof Transpose)) {
      op = maker.op();
      source = as(maker.input(0), type);
    }
    Value result =
        builder.add(op, List.of(source), List.of(value.name() + "." + type.text())).getFirst();
    known.put(value, result);
    return result;
  }

  private void convertRepeat(Node node, Repeat repeat, List<Value> operands) {
    int carried = repeat.carried();
    var types = new ArrayList<DataType>();
    operands.subList(0, carried).forEach(v -> types.add(v.dtype()));
    Set<Integer> pinned = new HashSet<>();
    Graph body;
    while (true) {
      body = convertBody(repeat, operands, types, pinned);
      boolean changed = false;
      for (int i = 0; i < carried; i++) {
        DataType before = types.get(i);
        DataType after = body.outputValues().get(i).dtype();
        if (before == DataType.F32 && after == narrow && !pinned.contains(i)) {
          types.set(i, narrow);
          changed = true;
        } else if (before == narrow && after == DataType.F32) {
          types.set(i, DataType.F32);
          pinned.add(i);
          changed = true;
        }
      }
      if (!changed) {
        break;
      }
    }
    var arguments = new ArrayList<>(operands);
    for (int i = 0; i < carried; i++) {
      arguments.set(i, as(operands.get(i), types.get(i)));
    }
    emit(node, repeat.withBody(body), arguments, false);
  }

  /** The body for carried values of the given types; results of the pinned ones are made f32. */
  private Graph convertBody(
      Repeat repeat, List<Value> operands, List<DataType> types, Set<Integer> pinned) {
    Graph body = repeat.body();
    var inner = new MixedPrecision(body.name(), narrow);
    for (int i = 0; i < body.inputs().size(); i++) {
      Graph.Input input = body.inputs().get(i);
      int operand = i - 1;
      Value value = input.value();
      DataType type = value.dtype();
      if (operand >= 0) {
        type = operand < repeat.carried() ? types.get(operand) : operands.get(operand).dtype();
      }
      Value argument = inner.builder.input(value.name(), value.type().with(type), input.kind());
      inner.now.put(value, argument);
      if (operand >= repeat.carried() && weak.contains(operands.get(operand))) {
        inner.weak.add(argument);
      }
    }
    body.nodes().forEach(inner::convert);
    for (int i = 0; i < body.outputs().size(); i++) {
      Value result = inner.current(body.outputs().get(i).value());
      inner.builder.output(pinned.contains(i) ? inner.as(result, DataType.F32) : result);
    }
    return inner.builder.build();
  }
}
