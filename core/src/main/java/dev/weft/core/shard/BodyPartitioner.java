package dev.weft.core.shard;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Spec;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Broadcast;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Shard;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Rewrites the nodes of one graph, or of the body of one repeat, in order. */
final class BodyPartitioner {
  /** Tensors of at least so many bytes that every device comes to hold whole are remarked on. */
  private static final long LARGE = 16L << 20;

  /** What is left of a price that will be paid whatever is chosen. */
  private static final double SUNK = 1e-6;

  private record Made(Op op, Value input) {}

  private final Partitioner partitioner;
  private final Propagation.Result specs;
  private final Builder builder;
  private final Versions versions;
  private final Map<Value, Integer> uses = new HashMap<>();
  private final Map<Value, Origin> origins = new HashMap<>();
  private final Map<Made, Value> made = new HashMap<>();
  private final Map<Value, List<Node>> readers = new HashMap<>();
  private @Nullable KeptParts parts;

  /** What repeats a smaller tensor: cheaper made again elsewhere than moved there. */
  private final Map<Value, Node> broadcasts = new HashMap<>();

  BodyPartitioner(
      Partitioner partitioner, Propagation.Result specs, Builder builder, Versions versions) {
    this.partitioner = partitioner;
    this.specs = specs;
    this.builder = builder;
    this.versions = versions;
  }

  Partitioner partitioner() {
    return partitioner;
  }

  Builder builder() {
    return builder;
  }

  Propagation.Result specs() {
    return specs;
  }

  Spec spec(Value value) {
    return specs.spec(value);
  }

  List<Versions.Version> versions(Value value) {
    return versions.of(value);
  }

  boolean isMade(Value value) {
    return versions.has(value);
  }

  /** Whether a node to come, or a result, reads the value. */
  boolean isUsed(Value value) {
    return uses.getOrDefault(value, 0) > 0;
  }

  /** Which sums may stay parts. */
  KeptParts parts() {
    return Objects.requireNonNull(parts);
  }

  /**
   * Takes note of who reads what.
   *
   * @param results which outputs may be parts of sums
   */
  void count(Graph graph, KeptParts.Results results) {
    for (Node node : graph.nodes()) {
      node.inputs().stream().distinct().forEach(v -> uses.merge(v, 1, Integer::sum));
      node.outputs().forEach(v -> origins.put(v, node.origin()));
    }
    graph.outputValues().forEach(v -> uses.merge(v, 1, Integer::sum));
    readers.putAll(graph.consumers());
    parts = new KeptParts(this, graph, results);
  }

  /** The origin of the node that makes a value; for an input one that says only its name. */
  Origin originOf(Value value) {
    return origins.getOrDefault(value, new Origin(value.name(), Role.FORWARD, "%" + value.name()));
  }

  void node(Node node) {
    switch (node.op()) {
      case Shard shard -> shard(node, shard);
      case Repeat _ -> new RepeatPartitioner(this, node).emit();
      default -> ordinary(node);
    }
    node.inputs().stream().distinct().forEach(v -> uses.merge(v, -1, Integer::sum));
  }

  /**
   * An annotation. What a user asks of a forward value is done there; a cotangent, which inherits
   * the word, may stay a partial sum until something else needs it.
   */
  private void shard(Node node, Shard shard) {
    Value input = node.input(0);
    Value output = node.output(0);
    Layout goal = Layout.of(spec(output), partitioner.mesh());
    Role role = node.origin().role();
    // Nor is a weight's gradient moved before the optimizer, or what it is added to, asks for it.
    if (role == Role.WEIGHT_GRADIENT
        || role != Role.FORWARD && versions(input).getFirst().layout().isPartial()) {
      versions.alias(output, input);
      return;
    }
    Value local = convert(input, goal, "the annotation " + shard.spec(), node.origin());
    versions.add(output, goal, local);
    // The other layouts it was in are as good: whoever needs one of them has it.
    for (Versions.Version version : List.copyOf(versions(input))) {
      if (!version.layout().isPartial()) {
        versions.add(output, version.layout(), version.local());
      }
    }
  }

  private void ordinary(Node node) {
    var choices = new Choices(this, node);
    Choice choice = choices.best();
    var inputs = new ArrayList<Value>();
    for (int i = 0; i < node.inputs().size(); i++) {
      String reason = node.op().name() + " needs it as " + choice.inputs().get(i);
      inputs.add(operand(node.input(i), choice.inputs().get(i), reason, node.origin()));
    }
    Origin before = builder.origin(node.origin());
    var split = new SplitOps(this, choices.known(), choice);
    List<Value> outputs =
        choice.expansion() == null
            ? split.emit(inputs)
            : inline(node, choice.expansion().piece().graph(), split.masked(inputs));
    builder.origin(before);
    if (node.op() instanceof Broadcast) {
      broadcasts.put(node.output(0), node);
    }
    for (int i = 0; i < outputs.size(); i++) {
      versions.add(node.output(i), choice.outputs().get(i), outputs.get(i));
    }
  }

  /** Takes note of a local tensor that was made. */
  void made(Value value, Layout layout, Value local) {
    versions.add(value, layout, local);
  }

  /** Puts the nodes of another local graph here. */
  private List<Value> inline(Node node, Graph graph, List<Value> inputs) {
    Map<Value, Value> here = new HashMap<>();
    for (int i = 0; i < inputs.size(); i++) {
      here.put(graph.inputs().get(i).value(), inputs.get(i));
    }
    for (Node inner : graph.nodes()) {
      List<String> names =
          inner.outputs().stream().map(v -> node.output(0).name() + "." + v.name()).toList();
      List<Value> results =
          builder.add(inner.op(), inner.inputs().stream().map(here::get).toList(), names);
      for (int i = 0; i < results.size(); i++) {
        Value result = results.get(i);
        here.put(inner.output(i), result);
        partitioner.reason(inner.output(i)).ifPresent(r -> partitioner.explain(result, r));
      }
    }
    return graph.outputValues().stream().map(here::get).toList();
  }

  /** What the cheapest way to a layout costs. Reducing is shared by all who still need the sum. */
  double conversionCost(Value value, Layout layout) {
    double best = Double.POSITIVE_INFINITY;
    for (Versions.Version version : versions(value)) {
      double cost = partitioner.resharding().chain(value.type(), version.layout(), layout).cost();
      Set<String> reduced = new HashSet<>(version.layout().partial().keySet());
      reduced.removeAll(layout.partial().keySet());
      if (!reduced.isEmpty()) {
        int sharers = uses.getOrDefault(value, 1);
        boolean anyway = sharers > 1 && reduced.stream().allMatch(a -> isReducedAnyway(value, a));
        cost = anyway ? SUNK * cost : cost / Math.max(1, sharers);
      }
      best = Math.min(best, cost);
    }
    return Math.min(best, costAgain(value, layout));
  }

  /** Whether some reader of a sum that is partial over an axis can do nothing with parts. */
  boolean isReducedAnyway(Value value, String axis) {
    for (Node reader : readers.getOrDefault(value, List.of())) {
      if (reader.op() instanceof Repeat || reader.op() instanceof Shard) {
        continue;
      }
      if (!takesParts(reader, value, axis)) {
        return true;
      }
    }
    return false;
  }

  /** Whether a node can work on parts over an axis of what it reads. */
  boolean takesParts(Node reader, Value value, String axis) {
    int input = reader.inputs().indexOf(value);
    if (reader.op().linear(reader.inputTypes()).stream().noneMatch(g -> g.contains(input))) {
      return false;
    }
    for (int i = 0; i < reader.inputs().size(); i++) {
      if (i != input && spec(reader.input(i)).axes().contains(axis)) {
        return false;
      }
    }
    return true;
  }

  /** The local tensor that stands for a value in a layout, moved there where it was not yet. */
  Value convert(Value value, Layout layout, String reason, Origin origin) {
    Versions.Version from = null;
    Resharding.Chain chain = null;
    for (Versions.Version version : versions(value)) {
      Resharding.Chain candidate =
          partitioner.resharding().chain(value.type(), version.layout(), layout);
      if (chain == null || candidate.cost() < chain.cost()) {
        from = version;
        chain = candidate;
      }
    }
    if (from == null || chain == null) {
      throw new IllegalStateException(value + " is in no layout");
    }
    if (costAgain(value, layout) < chain.cost()) {
      return again(value, layout, reason, origin);
    }
    Value local = from.local();
    Origin before = builder.origin(origin);
    for (Resharding.Step step : chain.steps()) {
      local = once(step.op(), local, value.name());
      if (step.op() instanceof Collective) {
        var why = new Partitioner.Reason(value.name(), value.type(), origin, reason);
        partitioner.explain(local, why);
      }
      versions.add(value, step.layout(), local);
    }
    builder.origin(before);
    return local;
  }

  /** What it costs to make a value anew in a layout; infinite where that is not to be done. */
  private double costAgain(Value value, Layout layout) {
    Node maker = broadcasts.get(value);
    if (maker == null || layout.isPartial()) {
      return Double.POSITIVE_INFINITY;
    }
    Value source = maker.input(0);
    Layout before = repeated(maker, layout);
    double best = costAgain(source, before);
    for (Versions.Version version : versions(source)) {
      Resharding.Chain chain =
          partitioner.resharding().chain(source.type(), version.layout(), before);
      best = Math.min(best, chain.cost());
    }
    return best;
  }

  private Value again(Value value, Layout layout, String reason, Origin origin) {
    Node maker = Objects.requireNonNull(broadcasts.get(value));
    Value source = convert(maker.input(0), repeated(maker, layout), reason, origin);
    TensorType type = partitioner.resharding().local(value.type(), layout);
    Origin before = builder.origin(maker.origin());
    Value local = once(maker.op().local(List.of(type)), source, value.name());
    builder.origin(before);
    versions.add(value, layout, local);
    return local;
  }

  /** How what a broadcast repeats must lie for the result to lie so. */
  private static Layout repeated(Node maker, Layout layout) {
    List<Integer> dims = ((Broadcast) maker.op()).dims();
    return new Layout(dims.stream().map(layout::axes).toList(), Map.of());
  }

  /**
   * Converts what a node works on. That is remarked on where the node needs a large tensor whole
   * which the program means to split: what an annotation or ZeRO asks to be whole is no surprise.
   */
  Value operand(Value value, Layout layout, String reason, Origin origin) {
    if (layout.isWhole()
        && value.type().bytes() >= LARGE
        && !Layout.of(spec(value), partitioner.mesh()).isWhole()
        && versions(value).stream().noneMatch(version -> version.layout().isWhole())) {
      partitioner.remark(
          "every device comes to hold all of %%%s, %s, %,d bytes, for %s%s"
              .formatted(
                  value.name(),
                  value.type(),
                  value.type().bytes(),
                  origin.forward(),
                  origin.source().isEmpty() ? "" : " at " + origin.source()));
    }
    return convert(value, layout, reason, origin);
  }

  /** Applies an op of one input and one output, or gives what it gave before. */
  Value once(Op op, Value input, String name) {
    return made.computeIfAbsent(
        new Made(op, input),
        _ -> builder.add(op, List.of(input), List.of(name + "." + op.name())).getFirst());
  }

  /** What an op has made of a value's local tensor in a layout already. */
  Optional<Value> madeOf(Op op, Value value, Layout layout) {
    return versions(value).stream()
        .filter(v -> v.layout().equals(layout))
        .flatMap(v -> Optional.ofNullable(made.get(new Made(op, v.local()))).stream())
        .findFirst();
  }
}
