package dev.weft.core.overlap;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.Broadcast;
import dev.weft.core.op.Concat;
import dev.weft.core.op.Constant;
import dev.weft.core.op.Maximum;
import dev.weft.core.op.Minimum;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.SelfSplitting;
import dev.weft.core.op.Slice;
import dev.weft.core.op.Tensor;
import dev.weft.core.shard.Dimensions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Writes one graph, or the body of one repeat, anew: the chosen nodes once for each half. A value
 * is cut, joined or summed where somebody first needs it so.
 */
final class Rewriting {
  /**
   * What the halves give that must be folded.
   *
   * @param op folds two
   */
  private record Parts(Op op, List<Value> each, Origin origin) {}

  private final Halved halved;
  private final Batch batch;
  private final Set<String> names = new HashSet<>();
  private final Map<Value, Value> wholes = new HashMap<>();
  private final Map<Value, List<Value>> halves = new HashMap<>();
  private final Map<Value, Parts> parts = new HashMap<>();
  private final Map<Value, Integer> uses = new HashMap<>();
  private final Map<Value, Origin> origins = new HashMap<>();
  private final List<Node> nodes = new ArrayList<>();
  private final List<Integer> lanes = new ArrayList<>();

  private Rewriting(Halved halved, Graph graph) {
    this.halved = halved;
    this.batch = halved.batch();
    graph.inputValues().forEach(value -> names.add(value.name()));
    for (Node node : graph.nodes()) {
      node.inputs().forEach(value -> uses.merge(value, 1, Integer::sum));
      for (Value value : node.outputs()) {
        names.add(value.name());
        origins.put(value, node.origin());
      }
    }
    graph.outputValues().forEach(value -> uses.merge(value, 1, Integer::sum));
  }

  /** The graph with the same inputs and outputs. */
  static Graph rewrite(Graph graph, Halved halved) {
    var rewriting = new Rewriting(halved, graph);
    graph.inputValues().forEach(value -> rewriting.wholes.put(value, value));
    graph.nodes().forEach(rewriting::node);
    var outputs = new ArrayList<Graph.Output>();
    for (Graph.Output output : graph.outputs()) {
      outputs.add(new Graph.Output(rewriting.whole(output.value()), output.donated()));
    }
    return new Graph(graph.name(), graph.inputs(), rewriting.ordered(), outputs);
  }

  private List<Node> ordered() {
    return Interleaving.order(nodes, lanes);
  }

  // Nodes

  private void node(Node node) {
    if (node.op() instanceof Repeat repeat) {
      repeat(node, repeat);
    } else if (halved.factor(node).isPresent()) {
      inHalves(node, halved.factor(node).get());
    } else if (!addsParts(node)) {
      emit(
          Interleaving.BOTH,
          new Node(
              node.op(),
              node.inputs().stream().map(this::whole).toList(),
              node.outputs(),
              node.origin()));
      node.outputs().forEach(value -> wholes.put(value, value));
    }
  }

  /**
   * A sum that is added to something is added to it half by half: a product can do so as it is
   * made.
   */
  private boolean addsParts(Node node) {
    if (!(node.op() instanceof Add)) {
      return false;
    }
    for (int i = 0; i < 2; i++) {
      Value sum = node.input(i);
      Parts known = parts.get(sum);
      if (known == null
          || !(known.op() instanceof Add)
          || uses.getOrDefault(sum, 0) != 1
          || wholes.containsKey(sum)) {
        continue;
      }
      Value start = whole(node.input(1 - i));
      Value first = fresh(node.output(0).name(), start.type());
      emit(
          Interleaving.BOTH,
          new Node(new Add(), List.of(start, known.each().get(0)), List.of(first), node.origin()));
      emit(
          Interleaving.BOTH,
          new Node(new Add(), List.of(first, known.each().get(1)), node.outputs(), node.origin()));
      wholes.put(node.output(0), node.output(0));
      return true;
    }
    return false;
  }

  private void inHalves(Node node, String factor) {
    Dimensions known = Batch.dimensions(node);
    List<List<Value>> made = new ArrayList<>();
    for (int half = 0; half < 2; half++) {
      var inputs = new ArrayList<Value>();
      for (int i = 0; i < node.inputs().size(); i++) {
        Value input = node.input(i);
        if (known.hasInput(factor, i)) {
          inputs.add(halves(input).get(half));
        } else if (half == 1 && known.isAddedTo(factor, i)) {
          inputs.add(zeros(input, node.origin()));
        } else {
          inputs.add(whole(input));
        }
      }
      var types = new ArrayList<TensorType>();
      for (int i = 0; i < node.outputs().size(); i++) {
        Value output = node.output(i);
        types.add(
            known.hasOutput(factor, i)
                ? batch.half(output.type(), batch.dim(output).orElseThrow(), half)
                : output.type());
      }
      made.add(
          Batch.isMadeByPlace(node, factor)
              ? byPlace(node, factor, known.size(factor), half, inputs, types)
              : local(node, half, inputs, types));
    }
    for (int i = 0; i < node.outputs().size(); i++) {
      List<Value> each = List.of(made.get(0).get(i), made.get(1).get(i));
      if (known.hasOutput(factor, i)) {
        halves.put(node.output(i), each);
      } else {
        parts.put(node.output(i), new Parts(folding(known.mark(factor)), each, node.origin()));
      }
    }
  }

  private static Op folding(Factors.@Nullable Mark mark) {
    if (mark == Factors.Mark.MAX) {
      return new Maximum();
    }
    return mark == Factors.Mark.MIN ? new Minimum() : new Add();
  }

  private List<Value> local(Node node, int half, List<Value> inputs, List<TensorType> types) {
    boolean asItIs =
        types.equals(node.outputs().stream().map(Value::type).toList())
            && inputs.stream().map(Value::type).toList().equals(node.inputTypes());
    Op op = asItIs ? node.op() : node.op().local(types);
    var outputs = new ArrayList<Value>();
    for (int i = 0; i < types.size(); i++) {
      outputs.add(fresh(node.output(i).name(), types.get(i)));
    }
    List<TensorType> found = op.infer(inputs.stream().map(Value::type).toList());
    if (!found.equals(types)) {
      throw new IllegalStateException(
          node.op().name() + " of half a batch makes " + found + ", expected " + types);
    }
    emit(half, new Node(op, inputs, outputs, node.origin()));
    return outputs;
  }

  /** Half of what follows from nothing but where elements are. */
  private List<Value> byPlace(
      Node node, String factor, long size, int half, List<Value> inputs, List<TensorType> types) {
    var builder = new Builder(node.op().name());
    Map<Value, Value> here = new HashMap<>();
    var arguments = new ArrayList<Tensor>();
    for (int i = 0; i < inputs.size(); i++) {
      Value argument = builder.input("x" + i, inputs.get(i).type(), Graph.Kind.DATA);
      here.put(argument, inputs.get(i));
      arguments.add(new Tensor(builder, argument));
    }
    long cut = batch.cut(size);
    var part =
        new HalfPart(builder, factor, size, half == 0 ? 0 : cut, half == 0 ? cut : size, half);
    List<Tensor> results = ((SelfSplitting) node.op()).split(part, arguments, types);
    for (Node inner : builder.nodes()) {
      for (Value value : inner.outputs()) {
        here.put(value, fresh(node.output(0).name(), value.type()));
      }
      emit(
          half,
          new Node(
              inner.op(),
              inner.inputs().stream().map(here::get).toList(),
              inner.outputs().stream().map(here::get).toList(),
              node.origin()));
    }
    return results.stream().map(t -> Objects.requireNonNull(here.get(t.value()))).toList();
  }

  // Repeats

  private void repeat(Node node, Repeat repeat) {
    Graph body = repeat.body();
    var inner = new Rewriting(halved, body);
    List<Graph.Input> arguments = body.inputs();
    var inputs = new ArrayList<Graph.Input>();
    var operands = new ArrayList<Value>();
    inputs.add(arguments.getFirst());
    inner.wholes.put(arguments.getFirst().value(), arguments.getFirst().value());
    int carried = 0;
    int stacked = 0;
    for (int i = 0; i < node.inputs().size(); i++) {
      Graph.Input argument = arguments.get(i + 1);
      Value operand = node.input(i);
      boolean apart =
          i < repeat.carried()
              ? halved.carriesHalves(node, i)
              : isApart(operand, argument.value(), repeat.isStacked(i));
      int before = operands.size();
      if (apart) {
        var each = new ArrayList<Value>();
        for (Value half : halves(operand)) {
          TensorType type = half.type();
          Value own =
              inner.fresh(
                  argument.value().name(),
                  repeat.isStacked(i) ? type.with(type.shape().without(0)) : type);
          inputs.add(new Graph.Input(own, argument.kind()));
          operands.add(half);
          each.add(own);
        }
        inner.halves.put(argument.value(), List.copyOf(each));
      } else {
        inputs.add(argument);
        operands.add(whole(operand));
        inner.wholes.put(argument.value(), argument.value());
      }
      if (i < repeat.carried()) {
        carried += operands.size() - before;
      } else if (repeat.isStacked(i)) {
        stacked += operands.size() - before;
      }
    }
    body.nodes().forEach(inner::node);
    var results = new ArrayList<Graph.Output>();
    var outputs = new ArrayList<Value>();
    for (int i = 0; i < body.outputs().size(); i++) {
      Value result = body.outputs().get(i).value();
      Value output = node.output(i);
      boolean apart =
          i < repeat.carried()
              ? halved.carriesHalves(node, i)
              : inner.isApart(result, output, false, 1);
      if (apart) {
        var each = new ArrayList<Value>();
        for (Value half : inner.halves(result)) {
          results.add(new Graph.Output(half, null));
          TensorType type = half.type();
          each.add(
              fresh(
                  output.name(),
                  i < repeat.carried() ? type : type.with(type.shape().insert(0, repeat.count()))));
        }
        outputs.addAll(each);
        halves.put(output, List.copyOf(each));
      } else {
        results.add(new Graph.Output(inner.whole(result), null));
        outputs.add(output);
        wholes.put(output, output);
      }
    }
    Graph other = new Graph(body.name(), inputs, inner.ordered(), results);
    emit(
        Interleaving.BOTH,
        new Node(
            new Repeat(other, repeat.count(), carried, stacked, repeat.reverse()),
            operands,
            outputs,
            node.origin()));
  }

  /** Whether an operand of a repeat is there in halves only, and can stay so in its rounds. */
  private boolean isApart(Value operand, Value argument, boolean stacked) {
    return isApart(operand, argument, stacked, 0);
  }

  /**
   * Whether a value is there in halves only, and is cut along the same dim under another name.
   *
   * @param shift how many dims more the other has before that dim
   */
  private boolean isApart(Value value, Value other, boolean stacked, int shift) {
    return halves.containsKey(value)
        && !wholes.containsKey(value)
        && batch.dim(value).isPresent()
        && batch.dim(other).isPresent()
        && batch.dim(other).getAsInt() == batch.dim(value).getAsInt() + shift - (stacked ? 1 : 0);
  }

  // Values

  /** The value as it was, joined or folded where it is in two. */
  private Value whole(Value value) {
    Value known = wholes.get(value);
    if (known != null) {
      return known;
    }
    Parts folded = parts.get(value);
    Op op = folded != null ? folded.op() : new Concat(batch.dim(value).orElseThrow());
    List<Value> each = folded != null ? folded.each() : Objects.requireNonNull(halves.get(value));
    emit(Interleaving.BOTH, new Node(op, each, List.of(value), origin(value)));
    wholes.put(value, value);
    return value;
  }

  private List<Value> halves(Value value) {
    List<Value> known = halves.get(value);
    if (known != null) {
      return known;
    }
    Value whole = whole(value);
    int dim = batch.dim(value).orElseThrow();
    long size = value.type().size(dim);
    long cut = batch.cut(size);
    var each = new ArrayList<Value>();
    for (int half = 0; half < 2; half++) {
      var starts = new ArrayList<>(Collections.nCopies(value.type().rank(), 0L));
      var limits = new ArrayList<Long>();
      for (long limit : value.type().shape().sizes()) {
        limits.add(limit);
      }
      starts.set(dim, half == 0 ? 0 : cut);
      limits.set(dim, half == 0 ? cut : size);
      var op = new Slice(starts, limits, Collections.nCopies(value.type().rank(), 1L));
      Value own = fresh(value.name(), batch.half(value.type(), dim, half));
      emit(half, new Node(op, List.of(whole), List.of(own), origin(value)));
      each.add(own);
    }
    halves.put(value, List.copyOf(each));
    return each;
  }

  private Origin origin(Value value) {
    return origins.getOrDefault(value, new Origin(value.name(), Role.FORWARD, ""));
  }

  private Value zeros(Value like, Origin origin) {
    Value zero = fresh(like.name(), TensorType.scalar(like.dtype()));
    Value all = fresh(like.name(), like.type());
    Shape shape = like.type().shape();
    Op constant = new Constant(Literal.scalar(like.dtype(), 0));
    emit(Interleaving.BOTH, new Node(constant, List.of(), List.of(zero), origin));
    emit(
        Interleaving.BOTH,
        new Node(new Broadcast(shape, List.of()), List.of(zero), List.of(all), origin));
    return all;
  }

  private Value fresh(String name, TensorType type) {
    String wanted = name;
    for (int number = 1; !names.add(wanted); number++) {
      wanted = name + ".half" + number;
    }
    return new Value(wanted, type);
  }

  private void emit(int lane, Node node) {
    nodes.add(node);
    lanes.add(lane);
  }
}
