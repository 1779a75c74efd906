package dev.weft.core.shard;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Composite;
import dev.weft.core.op.Embedding;
import dev.weft.core.op.Expansion;
import dev.weft.core.op.SelfSplitting;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** All ways to share a node's work among the devices, and the cheapest of them. */
final class Choices {
  /** Operations whose repetition weighs as much as a byte sent. */
  private static final double FLOPS_PER_BYTE = 10;

  /** Bytes of memory moved whose repetition weighs as much as a byte sent. */
  private static final double MEMORY_PER_BYTE = 20;

  /** How much a table of a split vocabulary weighs, if devices that look up the same gather it. */
  private static final double TABLE = 1e6;

  /** How many times the bytes a product may send for leaving its operands where they are. */
  private static final double STAYING = 2;

  /** The most combinations that are priced for a node. */
  private static final int MOST = 2048;

  private final BodyPartitioner body;
  private final Partitioner partitioner;
  private final Mesh mesh;
  private final Node node;
  private final Dimensions known;
  private final List<Layout> wanted = new ArrayList<>();

  Choices(BodyPartitioner body, Node node) {
    this.body = body;
    this.partitioner = body.partitioner();
    this.mesh = partitioner.mesh();
    this.node = node;
    this.known = new Dimensions(node);
    for (Value output : node.outputs()) {
      wanted.add(Layout.of(body.spec(output), mesh));
    }
  }

  Dimensions known() {
    return known;
  }

  /** What an axis may be used for. */
  private sealed interface Use {
    /** Nothing: all devices along the axis do the same. */
    record Idle() implements Use {}

    record Split(String factor) implements Use {}

    /** Inputs stay partial over the axis. */
    record Linear(List<Integer> inputs) implements Use {}

    /** The op's expansion is split along the axis. */
    record Expand() implements Use {}
  }

  /** The cheapest choice; there is always one, for nothing need be split. */
  Choice best() {
    var axes = new ArrayList<String>();
    var uses = new ArrayList<List<Use>>();
    long combinations = 1;
    for (MeshAxis axis : mesh.axes()) {
      List<Use> possible = axis.size() > 1 ? uses(axis.name()) : List.of();
      if (possible.size() > 1 && combinations * possible.size() <= MOST) {
        axes.add(axis.name());
        uses.add(possible);
        combinations *= possible.size();
      }
    }
    Choice best = null;
    int[] index = new int[axes.size()];
    for (long n = 0; n < combinations; n++) {
      long rest = n;
      Map<String, Use> combination = new LinkedHashMap<>();
      for (int i = 0; i < index.length; i++) {
        List<Use> possible = uses.get(i);
        combination.put(axes.get(i), possible.get((int) (rest % possible.size())));
        rest /= possible.size();
      }
      Optional<Choice> choice = price(combination);
      if (choice.isPresent() && (best == null || better(choice.get(), best))) {
        best = choice.get();
      }
    }
    if (best == null) {
      throw new IllegalStateException(node.op().name() + ": no way to compute it");
    }
    return best;
  }

  private boolean better(Choice a, Choice b) {
    if (staysPut(a) != staysPut(b)) {
      return staysPut(a) ? a.cost() <= STAYING * b.cost() : STAYING * a.cost() < b.cost();
    }
    double slack = 1e-9 * Math.max(1, b.cost());
    if (Math.abs(a.cost() - b.cost()) > slack) {
      return a.cost() < b.cost();
    }
    // What can be sent later may come to be sent never.
    if (Math.abs(a.now() - b.now()) > slack) {
      return a.now() < b.now();
    }
    return a.matches() > b.matches();
  }

  /**
   * Whether a product works on its operands as they lie, and parts of a sum come of it. A weight's
   * gradient is wanted whole or in tiles, far from where activations lie: there bytes alone count.
   */
  private boolean staysPut(Choice choice) {
    boolean parts = choice.outputs().stream().anyMatch(Layout::isPartial);
    if (!parts
        || node.origin().role() == Role.WEIGHT_GRADIENT
        || choice.expansion() != null
        || !contracts()) {
      return false;
    }
    for (int i = 0; i < choice.inputs().size(); i++) {
      Layout layout = choice.inputs().get(i);
      if (body.versions(node.input(i)).stream().noneMatch(v -> v.layout().equals(layout))) {
        return false;
      }
    }
    return true;
  }

  private List<Use> uses(String axis) {
    Set<Use> uses = new LinkedHashSet<>();
    for (int i = 0; i < node.outputs().size(); i++) {
      fromDims(uses, axis, true, i, wanted.get(i));
    }
    for (int i = 0; i < node.inputs().size(); i++) {
      for (Versions.Version version : body.versions(node.input(i))) {
        fromDims(uses, axis, false, i, version.layout());
        if (version.layout().partial().get(axis) == Folding.SUM) {
          for (List<Integer> group : node.op().linear(node.inputTypes())) {
            if (group.contains(i)) {
              uses.add(new Use.Linear(group));
            }
          }
        }
      }
    }
    // To a weight's gradient it may pay to move activations so that they are split by what neither
    // is yet, instead of the gradient.
    if (!uses.isEmpty() && node.origin().role() == Role.WEIGHT_GRADIENT && contracts()) {
      known.names().stream()
          .filter(factor -> !known.isOwn(factor) && known.size(factor) >= mesh.size(axis))
          .forEach(factor -> uses.add(new Use.Split(factor)));
    }
    var all = new ArrayList<Use>(uses);
    all.add(new Use.Idle());
    boolean mentioned =
        !uses.isEmpty()
            || node.inputs().stream()
                .flatMap(v -> body.versions(v).stream())
                .anyMatch(v -> v.layout().partial().containsKey(axis));
    return mentioned ? all : List.of(new Use.Idle());
  }

  /** Whether the op is a product that adds up along what its result lacks. */
  private boolean contracts() {
    return node.inputs().size() > 1
        && known.names().stream().anyMatch(f -> known.hasInput(f) && !known.hasOutput(f))
        && node.op().linear(node.inputTypes()).size() > 1;
  }

  private void fromDims(Set<Use> uses, String axis, boolean output, int tensor, Layout layout) {
    for (int dim = 0; dim < layout.rank(); dim++) {
      if (!layout.axes(dim).contains(axis)) {
        continue;
      }
      Optional<String> factor = known.outermost(output, tensor, dim);
      if (factor.isEmpty()) {
        continue;
      }
      if (!known.isOwn(factor.get())) {
        uses.add(new Use.Split(factor.get()));
      } else if (node.op() instanceof SelfSplitting op
          && op.splits(factor.get(), node.inputTypes())) {
        uses.add(new Use.Split(factor.get()));
      } else if (node.op() instanceof Composite) {
        uses.add(new Use.Expand());
      }
    }
  }

  private Optional<Choice> price(Map<String, Use> combination) {
    Map<String, List<String>> split = new LinkedHashMap<>();
    Map<String, List<Integer>> linear = new HashMap<>();
    Set<String> expanded = new LinkedHashSet<>();
    combination.forEach(
        (axis, use) -> {
          switch (use) {
            case Use.Idle _ -> {}
            case Use.Split(String factor) ->
                split.computeIfAbsent(factor, _ -> new ArrayList<>()).add(axis);
            case Use.Linear(List<Integer> inputs) -> linear.put(axis, inputs);
            case Use.Expand _ -> expanded.add(axis);
          }
        });
    split.replaceAll((factor, axes) -> ordered(factor, axes));
    var assignment = new Assignment(split, linear);
    if (!assignment.fits(known, mesh) || !splittable(assignment)) {
      return Optional.empty();
    }
    List<Layout> inputs = assignment.inputs(known);
    List<Layout> outputs = assignment.outputs(known);
    Partitioner.Expanded expansion = null;
    if (!expanded.isEmpty()) {
      if (!linear.isEmpty()) {
        return Optional.empty();
      }
      inputs = withExpanded(inputs, expanded);
      expansion = expansion(assignment, inputs, expanded);
      outputs = joined(outputs, expansion.piece().outputs());
    }
    double cost = expansion == null ? 0 : expansion.price();
    if (bringsTable(combination)) {
      cost += TABLE * node.input(0).type().bytes();
    }
    Set<Value> seen = new LinkedHashSet<>();
    for (int i = 0; i < inputs.size(); i++) {
      Value input = node.input(i);
      if (seen.add(input) || !inputs.get(i).equals(inputs.get(node.inputs().indexOf(input)))) {
        cost += body.conversionCost(input, inputs.get(i));
      }
    }
    Optional<Double> inside = SplitOps.price(body, known, assignment, inputs, outputs);
    if (inside.isEmpty()) {
      return Optional.empty();
    }
    cost += inside.get();
    double now = cost;
    int matches = 0;
    for (int i = 0; i < outputs.size(); i++) {
      Layout goal = body.parts().goal(node, outputs.get(i), wanted.get(i));
      if (outputs.get(i).equals(goal)) {
        matches++;
      } else if (body.isUsed(node.output(i))) {
        cost += partitioner.resharding().chain(node.output(i).type(), outputs.get(i), goal).cost();
      }
    }
    return Optional.of(
        new Choice(
            assignment,
            inputs,
            outputs,
            expansion,
            cost + work(assignment, expanded),
            now,
            matches));
  }

  /**
   * Whether a lookup would bring a table together that is split by rows, though along that axis all
   * look up the same: who splits a vocabulary wants no device to hold all of it.
   */
  private boolean bringsTable(Map<String, Use> combination) {
    if (!(node.op() instanceof Embedding)) {
      return false;
    }
    for (Map.Entry<String, Use> entry : combination.entrySet()) {
      String axis = entry.getKey();
      boolean split =
          body.versions(node.input(0)).stream().allMatch(v -> v.layout().axes(0).contains(axis));
      boolean alike =
          !wanted.getFirst().splitAxes().contains(axis)
              && body.versions(node.input(1)).stream()
                  .noneMatch(v -> v.layout().splitAxes().contains(axis));
      if (split && alike && !(entry.getValue() instanceof Use.Split)) {
        return true;
      }
    }
    return false;
  }

  /** What doing the work costs every device, in bytes sent. */
  private double work(Assignment assignment, Set<String> expanded) {
    Cost cost = node.op().cost(node.inputTypes());
    double whole = cost.flops() / FLOPS_PER_BYTE + cost.bytes() / MEMORY_PER_BYTE;
    double degree = assignment.degree(mesh);
    for (String axis : expanded) {
      degree *= mesh.size(axis);
    }
    return whole / degree;
  }

  /** Axes of one factor in the order that outputs, then inputs have them in. */
  private List<String> ordered(String factor, List<String> axes) {
    if (axes.size() == 1) {
      return axes;
    }
    for (Dimensions.Place place : known.places(factor)) {
      if (place.output()) {
        List<String> order = wanted.get(place.tensor()).axes(place.dim());
        if (Set.copyOf(order).equals(Set.copyOf(axes))) {
          return order;
        }
      }
    }
    for (Dimensions.Place place : known.places(factor)) {
      if (!place.output()) {
        for (Versions.Version version : body.versions(node.input(place.tensor()))) {
          List<String> order = version.layout().axes(place.dim());
          if (Set.copyOf(order).equals(Set.copyOf(axes))) {
            return order;
          }
        }
      }
    }
    return axes;
  }

  /** An op splits itself along one factor at a time. */
  private boolean splittable(Assignment assignment) {
    return assignment.split().keySet().stream().filter(known::isOwn).count() <= 1;
  }

  /** The inputs' layouts with, behind the axes of the assignment, those that inputs have anyway. */
  private List<Layout> withExpanded(List<Layout> inputs, Set<String> expanded) {
    var layouts = new ArrayList<Layout>();
    for (int i = 0; i < inputs.size(); i++) {
      Layout layout = inputs.get(i);
      Layout home = body.versions(node.input(i)).getFirst().layout();
      for (int dim = 0; dim < layout.rank(); dim++) {
        var axes = new ArrayList<>(layout.axes(dim));
        home.axes(dim).stream().filter(expanded::contains).forEach(axes::add);
        layout = layout.with(dim, axes);
      }
      layouts.add(layout);
    }
    return layouts;
  }

  private Partitioner.Expanded expansion(
      Assignment assignment, List<Layout> inputs, Set<String> expanded) {
    Set<String> outer = new LinkedHashSet<>();
    assignment.split().values().forEach(outer::addAll);
    var part = new Mesh(mesh.axes().stream().filter(a -> expanded.contains(a.name())).toList());
    var types = new ArrayList<TensorType>();
    for (int i = 0; i < inputs.size(); i++) {
      Layout outside = restricted(inputs.get(i), outer);
      types.add(partitioner.resharding().local(node.input(i).type(), outside));
    }
    var outputs = new ArrayList<TensorType>();
    for (int i = 0; i < node.outputs().size(); i++) {
      Layout outside = restricted(assignment.outputs(known).get(i), outer);
      outputs.add(partitioner.resharding().local(node.output(i).type(), outside));
    }
    Op local = assignment.split().isEmpty() ? node.op() : node.op().local(outputs);
    Graph graph = Stamping.stamp(Expansion.graph((Composite) local, types), node.origin());
    List<Layout> inner = inputs.stream().map(l -> restricted(l, expanded)).toList();
    List<Layout> goals = wanted.stream().map(l -> restricted(l, expanded)).toList();
    return partitioner.expanded(List.of(local, types, node.origin()), graph, part, inner, goals);
  }

  /** A layout with only some of its axes. */
  private static Layout restricted(Layout layout, Set<String> axes) {
    Layout result = layout;
    for (int dim = 0; dim < layout.rank(); dim++) {
      result = result.with(dim, layout.axes(dim).stream().filter(axes::contains).toList());
    }
    Map<String, Folding> partial = new HashMap<>(layout.partial());
    partial.keySet().retainAll(axes);
    return result.withPartial(partial);
  }

  /** Layouts over different axes put together, the first's axes outermost. */
  private static List<Layout> joined(List<Layout> outer, List<Layout> inner) {
    var layouts = new ArrayList<Layout>();
    for (int i = 0; i < outer.size(); i++) {
      Layout layout = outer.get(i);
      for (int dim = 0; dim < layout.rank(); dim++) {
        var axes = new ArrayList<>(layout.axes(dim));
        axes.addAll(inner.get(i).axes(dim));
        layout = layout.with(dim, axes);
      }
      Map<String, Folding> partial = new HashMap<>(layout.partial());
      partial.putAll(inner.get(i).partial());
      layouts.add(layout.withPartial(partial));
    }
    return layouts;
  }
}
