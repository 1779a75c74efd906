package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.Bucket;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Postponing;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Primitive;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * Unrolls repeats, resolves views, computes what is known at load, and chooses kernels. A stack of
 * the rounds' outputs that only another repeat reads, slice by slice, never exists as a whole.
 */
final class Flattening {
  /** Constants of more elements are left to be computed when the program runs. */
  private static final long FOLDED_ELEMENTS = 1 << 22;

  /** What a value of the graph is: one tensor, or the rounds' parts of a stacked one. */
  private sealed interface Entry {
    record Whole(Flat flat) implements Entry {}

    record Rounds(String name, TensorType type, List<Flat> parts) implements Entry {}
  }

  private final DeviceKind kind;
  private final BiFunction<Op, List<TensorType>, Route> routes;
  private final List<Item> items = new ArrayList<>();
  private final Map<Value, Flat> inputs = new HashMap<>();
  private final List<Flat> outputs = new ArrayList<>();
  private final Map<Literal, Flat> constants = new HashMap<>();

  /** Of nodes, how they are computed: rounds of a repeat have theirs in common. */
  private final Map<Node, Way> ways = new IdentityHashMap<>();

  private record Way(Route route, Kernel kernel) {}

  private Flattening(DeviceKind kind, BiFunction<Op, List<TensorType>, Route> routes) {
    this.kind = kind;
    this.routes = routes;
  }

  static Flattening of(
      Graph graph,
      DeviceKind kind,
      BiFunction<Op, List<TensorType>, Route> routes,
      Function<Value, Strided> layouts) {
    var flattening = new Flattening(kind, routes);
    Map<Value, Entry> environment = new HashMap<>();
    for (Value input : graph.inputValues()) {
      Flat flat = Flat.of(input.name(), input.type(), layouts.apply(input));
      flattening.inputs.put(input, flat);
      environment.put(input, new Entry.Whole(flat));
    }
    flattening.run(graph.nodes(), environment, "");
    for (Value output : graph.outputValues()) {
      flattening.outputs.add(flattening.whole(environment, output));
    }
    flattening.postpone();
    return flattening;
  }

  /** Puts what awaits other devices behind what does not, over the ends of rounds too. */
  private void postpone() {
    if (items.stream().noneMatch(item -> item.op() instanceof Collective)) {
      return;
    }
    var calls = new ArrayList<Postponing.Call<Item>>();
    for (Item item : items) {
      List<Flat> reads = item.inputs().stream().map(f -> f.base).toList();
      List<Flat> writes = item.outputs().stream().map(f -> f.base).toList();
      boolean work =
          !isStackWrite(item)
              && Postponing.isWork(item.op(), types(item.inputs()), types(item.outputs()));
      calls.add(new Postponing.Call<>(item, reads, writes, item.op() instanceof Collective, work));
    }
    List<Item> ordered = Postponing.order(calls);
    items.clear();
    items.addAll(ordered);
  }

  private static List<TensorType> types(List<Flat> flats) {
    return flats.stream().map(f -> f.type).toList();
  }

  List<Item> items() {
    return items;
  }

  Map<Value, Flat> inputs() {
    return inputs;
  }

  List<Flat> outputs() {
    return outputs;
  }

  /** Values known at load. */
  List<Flat> constants() {
    return List.copyOf(constants.values());
  }

  private void run(List<Node> nodes, Map<Value, Entry> environment, String suffix) {
    for (Node node : nodes) {
      if (node.op() instanceof Repeat repeat) {
        unroll(node, repeat, environment, suffix);
      } else {
        List<Flat> arguments = node.inputs().stream().map(v -> whole(environment, v)).toList();
        List<Flat> results = apply(node, arguments, suffix);
        for (int i = 0; i < results.size(); i++) {
          environment.put(node.output(i), new Entry.Whole(results.get(i)));
        }
      }
    }
  }

  private void unroll(Node node, Repeat repeat, Map<Value, Entry> environment, String suffix) {
    List<Value> arguments = repeat.body().inputValues();
    List<Value> results = repeat.body().outputValues();
    var carried = new ArrayList<Entry>();
    for (int i = 0; i < repeat.carried(); i++) {
      carried.add(new Entry.Whole(whole(environment, node.input(i))));
    }
    var parts = new ArrayList<List<Flat>>();
    for (int i = repeat.carried(); i < results.size(); i++) {
      parts.add(new ArrayList<>(java.util.Collections.nCopies(repeat.count(), (Flat) null)));
    }
    for (int step = 0; step < repeat.count(); step++) {
      int round = repeat.reverse() ? repeat.count() - 1 - step : step;
      Map<Value, Entry> inner = new HashMap<>();
      inner.put(
          arguments.getFirst(), new Entry.Whole(constant(Literal.scalar(DataType.I64, round))));
      for (int i = 0; i < node.inputs().size(); i++) {
        Entry entry;
        if (i < repeat.carried()) {
          entry = carried.get(i);
        } else if (repeat.isStacked(i)) {
          entry = new Entry.Whole(part(environment, node.input(i), round));
        } else {
          entry = Objects.requireNonNull(environment.get(node.input(i)));
        }
        inner.put(arguments.get(i + 1), entry);
      }
      run(repeat.body().nodes(), inner, suffix + "#" + round);
      for (int i = 0; i < repeat.carried(); i++) {
        carried.set(i, new Entry.Whole(whole(inner, results.get(i))));
      }
      for (int i = 0; i < parts.size(); i++) {
        parts.get(i).set(round, whole(inner, results.get(repeat.carried() + i)));
      }
    }
    for (int i = 0; i < results.size(); i++) {
      Value output = node.output(i);
      environment.put(
          output,
          i < repeat.carried()
              ? carried.get(i)
              : new Entry.Rounds(
                  output.name() + suffix, output.type(), parts.get(i - repeat.carried())));
    }
  }

  /** Slice {@code round} of a stacked value. */
  private Flat part(Map<Value, Entry> environment, Value value, int round) {
    Entry entry = Objects.requireNonNull(environment.get(value));
    if (entry instanceof Entry.Rounds rounds) {
      return rounds.parts().get(round);
    }
    Flat stack = whole(environment, value);
    return slice(stack, round);
  }

  private static Flat slice(Flat stack, int round) {
    Strided layout = stack.layout;
    TensorType type = stack.type.with(stack.type.shape().without(0));
    long[] strides = java.util.Arrays.copyOfRange(layout.strides(), 1, layout.strides().length);
    return Flat.view(
        stack.name + "[" + round + "]",
        type,
        stack,
        new Strided(type.shape(), strides, layout.offset() + round * layout.strides()[0]));
  }

  /** A value as one tensor; rounds are copied together, where possible by being made there. */
  private Flat whole(Map<Value, Entry> environment, Value value) {
    Entry entry = Objects.requireNonNull(environment.get(value), () -> value + " is not known");
    return switch (entry) {
      case Entry.Whole(Flat flat) -> flat;
      case Entry.Rounds rounds -> {
        Flat stack = Flat.of(rounds.name(), rounds.type());
        for (int round = 0; round < rounds.parts().size(); round++) {
          items.add(
              new Item(
                  StackWrite.INSTANCE,
                  List.of(rounds.parts().get(round)),
                  List.of(slice(stack, round)),
                  Kernel.of("weft::copy(y0, x0)"),
                  null,
                  Route.DIRECT));
        }
        environment.put(value, new Entry.Whole(stack));
        yield stack;
      }
    };
  }

  private Flat constant(Literal literal) {
    return constants.computeIfAbsent(
        literal,
        l -> {
          Flat flat = Flat.of("constant" + constants.size(), l.type());
          flat.literal = l;
          return flat;
        });
  }

  private List<Flat> apply(Node node, List<Flat> arguments, String suffix) {
    Op op = node.op();
    if (arguments.size() == 1 && node.outputs().size() == 1) {
      Optional<Strided> view = op.view(arguments.getFirst().layout);
      if (view.isPresent()) {
        Value output = node.output(0);
        return List.of(
            Flat.view(output.name() + suffix, output.type(), arguments.getFirst(), view.get()));
      }
    }
    if (op instanceof Primitive primitive
        && arguments.stream().allMatch(Flattening::isKnown)
        && node.outputs().stream().allMatch(v -> v.type().elements() <= FOLDED_ELEMENTS)) {
      List<Literal> known = arguments.stream().map(Flattening::literal).toList();
      return primitive.reference(known).stream().map(this::constant).toList();
    }
    Way way = ways.computeIfAbsent(node, this::way);
    var results = new ArrayList<Flat>();
    for (Value output : node.outputs()) {
      results.add(Flat.of(output.name() + suffix, output.type()));
    }
    items.add(new Item(op, arguments, results, way.kernel(), null, way.route()));
    return results;
  }

  private Way way(Node node) {
    Op op = node.op();
    List<TensorType> types = node.inputTypes();
    Route route = routes.apply(op, types);
    List<Kernel> kernels =
        op instanceof Collective collective
            ? List.of(kernel(collective))
            : op.kernels(kind, route.types(types));
    if (kernels.isEmpty()) {
      // A view that the operand's strides do not allow.
      if (types.size() == 1 && op.view(Strided.dense(types.getFirst().shape())).isPresent()) {
        throw new IllegalStateException("op " + op.name() + " says no kernel for " + node);
      }
      throw new IllegalStateException(
          "op " + op.name() + " has no kernel for " + kind + " and no expansion");
    }
    return new Way(route, kernels.getFirst());
  }

  /**
   * No calls: other devices take part. Each part of a sum is read and written by one thread only.
   */
  private static Kernel kernel(Collective collective) {
    Kernel kernel = Kernel.of();
    if (collective instanceof AllReduce) {
      return kernel.sharing(0, 0);
    }
    if (collective instanceof Bucket bucket) {
      for (int i = 0; i < bucket.dims().size(); i++) {
        if (bucket.dims().get(i) == Bucket.WHOLE) {
          kernel = kernel.sharing(i, i);
        }
      }
    }
    return kernel;
  }

  private static boolean isKnown(Flat flat) {
    return flat.base.literal != null && flat.type.elements() <= FOLDED_ELEMENTS;
  }

  /** The numbers of a value known at load, through its view. */
  private static Literal literal(Flat flat) {
    Literal all = Objects.requireNonNull(flat.base.literal);
    if (!flat.isView()) {
      return all;
    }
    return Views.pick(all, flat.layout).reshape(flat.type.shape());
  }

  /** Whether the op only exists to write a round's part into its stack. */
  static boolean isStackWrite(Item item) {
    return item.op() == StackWrite.INSTANCE;
  }
}
