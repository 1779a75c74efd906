package dev.weft.core.overlap;

import dev.weft.core.collective.Collective;
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
import dev.weft.core.op.Reshape;
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

  /** For each half that is sent the value that it is half of. */
  private final Map<Value, Value> sent;

  private Rewriting(Halved halved, Graph graph, Map<Value, Value> sent) {
    this.halved = halved;
    this.sent = sent;
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

  /**
   * The graph with the same inputs and outputs.
   *
   * @param sent for each half that a collective makes the value that it is half of, is added
   */
  static Graph rewrite(Graph graph, Halved halved, Map<Value, Value> sent) {
    var rewriting = new Rewriting(halved, graph, sent);
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
    Dimensions known = LocalFactors.exchanged(node);
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
      outputs.add(fresh(half, node.output(i).name(), types.get(i)));
    }
    List<TensorType> found = op.infer(inputs.stream().map(Value::type).toList());
    if (!found.equals(types)) {
      throw new IllegalStateException(
          node.op().name() + " of half a batch makes " + found + ", expected " + types);
    }
    if (op instanceof Collective) {
      sent.put(outputs.getFirst(), node.output(0));
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
        here.put(value, fresh(half, node.output(0).name(), value.type()));
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
    var inner = new Rewriting(halved, body, sent);
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
                  each.size(),
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
                  each.size(),
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
    if (folded != null) {
      emit(Interleaving.BOTH, new Node(folded.op(), folded.each(), List.of(value), origin(value)));
    } else {
      join(value, Objects.requireNonNull(halves.get(value)));
    }
    wholes.put(value, value);
    return value;
  }

  /** Puts halves together, block by block. */
  private void join(Value value, List<Value> each) {
    int dim = batch.dim(value).orElseThrow();
    long blocks = batch.blocks(value, dim);
    if (blocks == 1) {
      emit(Interleaving.BOTH, new Node(new Concat(dim), each, List.of(value), origin(value)));
      return;
    }
    var apart = new ArrayList<Value>();
    for (int half = 0; half < 2; half++) {
      apart.add(
          reshaped(half, each.get(half), inBlocks(each.get(half).type(), dim, blocks), value));
    }
    Value all = fresh(value.name(), inBlocks(value.type(), dim, blocks));
    emit(Interleaving.BOTH, new Node(new Concat(dim + 1), apart, List.of(all), origin(value)));
    emit(
        Interleaving.BOTH,
        new Node(new Reshape(value.shape()), List.of(all), List.of(value), origin(value)));
  }

  /** The type with a dim in two: blocks, and what is in one. */
  private static TensorType inBlocks(TensorType type, int dim, long blocks) {
    return type.with(type.shape().with(dim, blocks).insert(dim + 1, type.size(dim) / blocks));
  }

  private Value reshaped(int lane, Value from, TensorType type, Value of) {
    Value reshaped = fresh(lane, of.name(), type);
    emit(lane, new Node(new Reshape(type.shape()), List.of(from), List.of(reshaped), origin(of)));
    return reshaped;
  }

  private List<Value> halves(Value value) {
    List<Value> known = halves.get(value);
    if (known != null) {
      return known;
    }
    Value whole = whole(value);
    int dim = batch.dim(value).orElseThrow();
    long blocks = batch.blocks(value, dim);
    var each = new ArrayList<Value>();
    for (int half = 0; half < 2; half++) {
      TensorType type = batch.half(value.type(), dim, half);
      if (blocks == 1) {
        each.add(sliced(half, whole, dim, type, value));
      } else {
        Value all = reshaped(half, whole, inBlocks(value.type(), dim, blocks), value);
        Value own = sliced(half, all, dim + 1, inBlocks(type, dim, blocks), value);
        each.add(reshaped(half, own, type, value));
      }
    }
    halves.put(value, List.copyOf(each));
    return each;
  }

  /** The first elements of a dim, or the last. */
  private Value sliced(int half, Value from, int dim, TensorType type, Value of) {
    int rank = type.rank();
    var starts = new ArrayList<>(Collections.nCopies(rank, 0L));
    var limits = new ArrayList<Long>();
    for (long limit : from.type().shape().sizes()) {
      limits.add(limit);
    }
    if (half == 0) {
      limits.set(dim, type.size(dim));
    } else {
      starts.set(dim, from.type().size(dim) - type.size(dim));
    }
    Value own = fresh(half, of.name(), type);
    Op op = new Slice(starts, limits, Collections.nCopies(rank, 1L));
    emit(half, new Node(op, List.of(from), List.of(own), origin(of)));
    return own;
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
    return fresh(Interleaving.BOTH, name, type);
  }

  private Value fresh(int lane, String name, TensorType type) {
    String marked = lane == Interleaving.BOTH ? name + ".both" : HalfName.of(name, lane);
    String wanted = marked;
    for (int number = 2; !names.add(wanted); number++) {
      wanted = marked + number;
    }
    return new Value(wanted, type);
  }

  private void emit(int lane, Node node) {
    nodes.add(node);
    lanes.add(lane);
  }
}
