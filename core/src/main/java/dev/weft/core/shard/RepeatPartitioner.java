package dev.weft.core.shard;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Coordinated;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.CommonSubexpressions;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Rewrites a repeat: its body once, for all rounds. What is carried from round to round keeps one
 * layout. A sum that rounds add to is carried as parts, and folded once behind the last round,
 * where that is cheaper. What a round moves of tensors that no round changes is moved once, before.
 */
final class RepeatPartitioner {
  private final BodyPartitioner outer;
  private final Partitioner partitioner;
  private final Node node;
  private final Repeat repeat;

  RepeatPartitioner(BodyPartitioner outer, Node node) {
    this.outer = outer;
    this.partitioner = outer.partitioner();
    this.node = node;
    this.repeat = (Repeat) node.op();
  }

  /**
   * A rewritten body.
   *
   * @param made the layouts that results were made in, before carried ones were converted
   * @param results the layouts that results are returned in
   * @param price of the collectives of one round
   */
  private record Body(
      Graph graph, List<Layout> arguments, List<Layout> made, List<Layout> results, double price) {}

  void emit() {
    List<Layout> arguments = new ArrayList<>();
    List<Value> values = repeat.body().inputValues();
    for (int i = 1; i < values.size(); i++) {
      arguments.add(Layout.of(outer.spec(values.get(i)), partitioner.mesh()));
    }
    Body body = rewrite(arguments);
    Body partial = partialBody(arguments, body);
    if (cost(partial) < cost(body)) {
      body = partial;
    }
    Body given = partialGiven(body);
    if (cost(given) < cost(body)) {
      body = given;
    }
    place(body);
  }

  /** Takes as parts what lies as parts before the rounds, as sums that a round adds its own to. */
  private Body partialGiven(Body plain) {
    List<Layout> tried = new ArrayList<>(plain.arguments());
    for (int i = repeat.carried(); i < node.inputs().size(); i++) {
      Layout lies = outer.versions(node.input(i)).getFirst().layout();
      boolean sums = lies.partial().values().stream().allMatch(f -> f == Folding.SUM);
      if (!lies.isPartial() || !sums) {
        continue;
      }
      if (!repeat.isStacked(i)) {
        tried.set(i, lies);
      } else if (lies.axes(0).isEmpty()) {
        tried.set(i, new Layout(lies.dims().subList(1, lies.rank()), lies.partial()));
      }
    }
    return tried.equals(plain.arguments()) ? plain : rewrite(tried);
  }

  /** Carries as parts what a round makes as parts, as long as that leaves parts. */
  private Body partialBody(List<Layout> arguments, Body plain) {
    Body body = plain;
    List<Layout> tried = new ArrayList<>(arguments);
    for (int i = 0; i < repeat.carried(); i++) {
      Layout made = plain.made().get(i);
      boolean sums = made.partial().values().stream().allMatch(f -> f == Folding.SUM);
      boolean free = made.partial().keySet().stream().noneMatch(tried.get(i).splitAxes()::contains);
      if (made.isPartial() && sums && free) {
        tried.set(i, tried.get(i).withPartial(made.partial()));
      }
    }
    if (!tried.equals(arguments)) {
      body = rewrite(tried);
    }
    return body;
  }

  private double cost(Body body) {
    double cost = body.price() * repeat.count();
    for (int i = 0; i < node.outputs().size(); i++) {
      if (outer.isUsed(node.output(i))) {
        Layout goal = Layout.of(outer.spec(node.output(i)), partitioner.mesh());
        Layout layout = outside(body.results().get(i), i >= repeat.carried());
        cost += partitioner.resharding().chain(node.output(i).type(), layout, goal).cost();
      }
    }
    for (int i = 0; i < node.inputs().size(); i++) {
      Layout layout = outside(body.arguments().get(i), repeat.isStacked(i));
      cost += outer.conversionCost(node.input(i), layout);
    }
    return cost;
  }

  /** The layout of what is stacked from slices of a layout. */
  private static Layout outside(Layout slice, boolean stacked) {
    if (!stacked) {
      return slice;
    }
    var dims = new ArrayList<List<String>>();
    dims.add(List.of());
    dims.addAll(slice.dims());
    return new Layout(dims, slice.partial());
  }

  private Body rewrite(List<Layout> arguments) {
    Graph whole = repeat.body();
    var builder = new Builder(whole.name());
    var versions = new Versions();
    for (int i = 0; i < whole.inputs().size(); i++) {
      Graph.Input input = whole.inputs().get(i);
      Layout layout = i == 0 ? Layout.whole(0) : arguments.get(i - 1);
      Value local =
          builder.input(
              input.value().name(),
              partitioner.resharding().local(input.value().type(), layout),
              input.kind());
      versions.add(input.value(), layout, local);
    }
    var body = new BodyPartitioner(partitioner, outer.specs(), builder, versions);
    body.count(whole, (i, axis) -> maybeParts(arguments, i, axis));
    whole.nodes().forEach(body::node);
    var made = new ArrayList<Layout>();
    var results = new ArrayList<Layout>();
    for (int i = 0; i < whole.outputs().size(); i++) {
      Value value = whole.outputs().get(i).value();
      Layout first = versions.of(value).getFirst().layout();
      Layout wanted = Layout.of(outer.spec(value), partitioner.mesh());
      Layout goal = i < repeat.carried() ? arguments.get(i) : versions.settled(value, wanted);
      made.add(first);
      results.add(goal);
      builder.output(
          body.convert(value, goal, "the next round needs it as " + goal, body.originOf(value)));
    }
    Graph graph = DeadCode.eliminate(CommonSubexpressions.eliminate(builder.build()));
    return new Body(graph, arguments, made, results, partitioner.price(graph));
  }

  /** What is carried stays as it is; what is stacked may be parts where what is made of it may. */
  private boolean maybeParts(List<Layout> arguments, int result, String axis) {
    return result < repeat.carried()
        ? arguments.get(result).partial().containsKey(axis)
        : outer.parts().stays(node.output(result), axis);
  }

  private void place(Body body) {
    var operands = new ArrayList<Value>();
    for (int i = 0; i < node.inputs().size(); i++) {
      Layout layout = outside(body.arguments().get(i), repeat.isStacked(i));
      operands.add(
          outer.operand(node.input(i), layout, "the rounds need it as " + layout, node.origin()));
    }
    Graph lean = hoist(body.graph(), operands);
    var op = new Repeat(lean, repeat.count(), repeat.carried(), repeat.stacked(), repeat.reverse());
    var before = outer.builder().origin(node.origin());
    List<Value> outputs =
        outer.builder().add(op, operands, node.outputs().stream().map(Value::name).toList());
    outer.builder().origin(before);
    for (int i = 0; i < outputs.size(); i++) {
      outer.made(
          node.output(i), outside(body.results().get(i), i >= repeat.carried()), outputs.get(i));
    }
  }

  /** Moves what every round would move alike before the rounds. */
  private Graph hoist(Graph body, List<Value> operands) {
    int first = 1 + repeat.carried() + repeat.stacked();
    Map<Value, Value> outside = new HashMap<>();
    for (int i = first; i < body.inputs().size(); i++) {
      outside.put(body.inputs().get(i).value(), operands.get(i - 1));
    }
    var inputs = new ArrayList<>(body.inputs());
    var nodes = new ArrayList<Node>();
    Set<Value> moved = new LinkedHashSet<>();
    for (Node inner : body.nodes()) {
      boolean moves = inner.op() instanceof Collective || inner.op() instanceof Coordinated;
      if (!moves
          || inner.inputs().isEmpty()
          || !inner.inputs().stream().allMatch(outside::containsKey)) {
        nodes.add(inner);
        continue;
      }
      Value value = inner.output(0);
      var before = outer.builder().origin(inner.origin());
      Value hoisted =
          outer.once(inner.op(), Objects.requireNonNull(outside.get(inner.input(0))), value.name());
      outer.builder().origin(before);
      partitioner.reason(value).ifPresent(reason -> partitioner.explain(hoisted, reason));
      outside.put(value, hoisted);
      moved.add(value);
    }
    for (Value value : moved) {
      inputs.add(new Graph.Input(value, Graph.Kind.DATA));
      operands.add(outside.get(value));
    }
    return new Graph(body.name(), inputs, nodes, body.outputs());
  }
}
