package dev.weft.core.shard;

import dev.weft.core.cluster.DimSpec;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Broadcast;
import dev.weft.core.op.Composite;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Reshape;
import dev.weft.core.op.SelfSplitting;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Transpose;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Completes the specs of all values of a graph from those of a few (GSPMD, section 3.5).
 *
 * <p>Specs are decided on forward nodes first; gradients and updates then take them over. An
 * annotation that a gradient inherits leaves open what the mesh cannot split.
 *
 * <p>Splits spread along factors, forwards and backwards, until nothing changes, in stages of
 * permission: elementwise ops, reshapes and transposes; then factors that pass from inputs to
 * outputs; then all factors, broadcasts only backwards; then broadcasts forwards; then factors that
 * an op would rather have whole but can split. A split only ever grows: it is extended by further
 * axes, never changed, and what a user wrote is never touched. Where two wishes for one factor
 * differ, that of the larger tensor wins, at equal bytes the one that stands first among the node's
 * inputs and outputs; forward sweeps go before backward ones. An axis never splits two dims of a
 * tensor, nor a dim that is shorter than the axis.
 */
public final class Propagation {
  /**
   * The spec of every value, closed, and where it came from.
   *
   * @param specs by value, those in bodies of repeats too
   * @param origins a phrase for each value that is split
   */
  public record Result(Map<Value, Spec> specs, Map<Value, String> origins) {
    public Spec spec(Value value) {
      Spec spec = specs.get(value);
      return spec == null ? Spec.whole(value.type().rank()) : spec;
    }
  }

  private enum Stage {
    ELEMENTWISE,
    PASSING,
    ALL,
    BROADCASTS,
    RELUCTANT
  }

  /** What is known of a value so far. */
  private static final class Entry {
    final List<List<String>> axes = new ArrayList<>();
    final boolean[] fixed;
    String origin = "";

    Entry(int rank) {
      for (int dim = 0; dim < rank; dim++) {
        axes.add(List.of());
      }
      fixed = new boolean[rank];
    }

    boolean uses(String axis) {
      return axes.stream().anyMatch(dim -> dim.contains(axis));
    }
  }

  private final Mesh mesh;
  private final Map<Value, Entry> entries = new HashMap<>();
  private final IdentityHashMap<Node, Dimensions> dimensions = new IdentityHashMap<>();
  private boolean changed;
  private boolean forwardOnly;

  private Propagation(Mesh mesh) {
    this.mesh = mesh;
  }

  /**
   * Completes specs.
   *
   * @param given specs of some values, beside the graph's own annotations; their open dims are left
   *     to propagation
   */
  public static Result propagate(Graph graph, Mesh mesh, Map<Value, Spec> given) {
    var propagation = new Propagation(mesh);
    given.forEach((value, spec) -> propagation.fix(value, spec, "given"));
    propagation.annotate(graph);
    // Specs are decided on forward nodes; the others take them over.
    propagation.complete(graph, true);
    propagation.complete(graph, false);
    Map<Value, Spec> specs = new HashMap<>();
    Map<Value, String> origins = new HashMap<>();
    propagation.entries.forEach(
        (value, entry) -> {
          specs.put(value, Spec.of(entry.axes));
          if (!entry.origin.isEmpty()) {
            origins.put(value, entry.origin);
          }
        });
    return new Result(specs, origins);
  }

  private void complete(Graph graph, boolean forwardOnly) {
    this.forwardOnly = forwardOnly;
    for (Stage stage : Stage.values()) {
      do {
        changed = false;
        forwards(graph, stage);
        backwards(graph, stage);
      } while (changed);
    }
  }

  private Entry entry(Value value) {
    return entries.computeIfAbsent(value, v -> new Entry(v.type().rank()));
  }

  private void fix(Value value, Spec spec, String origin) {
    Spec fitting = spec.on(mesh);
    for (int dim = 0; dim < spec.rank(); dim++) {
      if (fitting.dims().get(dim) instanceof DimSpec.Split split) {
        fix(value, dim, split.axes(), origin);
      }
    }
  }

  /**
   * What is said first of a dim holds, and what is said first of an axis, for it splits one dim.
   */
  private void fix(Value value, int dim, List<String> axes, String origin) {
    Entry entry = entry(value);
    if (!entry.fixed[dim] && axes.stream().noneMatch(entry::uses)) {
      entry.fixed[dim] = true;
      entry.axes.set(dim, axes);
      entry.origin = origin;
    }
  }

  /** What users wrote: of a value, and where it is an input's only mention, of the input too. */
  private void annotate(Graph graph) {
    var inputs = new java.util.HashSet<>(graph.inputValues());
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Shard shard) {
        String source = node.origin().source();
        String origin = "annotation" + (source.isEmpty() ? "" : " at " + source);
        boolean inherited = node.origin().role() != Role.FORWARD;
        Spec own = inherited ? shard.spec().on(mesh).loosened() : shard.spec();
        fix(node.output(0), own, origin);
        if (inputs.contains(node.input(0))) {
          fix(node.input(0), own, origin);
        }
      }
      if (node.op() instanceof Repeat repeat) {
        enter(node, repeat);
      }
      node.op().bodies().forEach(this::annotate);
    }
  }

  /** What is fixed outside of a repeat is fixed for its rounds. */
  private void enter(Node node, Repeat repeat) {
    List<Value> arguments = repeat.body().inputValues();
    for (int i = repeat.carried(); i < node.inputs().size(); i++) {
      Entry outer = entry(node.input(i));
      Value argument = arguments.get(i + 1);
      int shift = repeat.isStacked(i) ? 1 : 0;
      for (int dim = 0; dim < argument.type().rank(); dim++) {
        if (outer.fixed[dim + shift]) {
          fix(argument, dim, outer.axes.get(dim + shift), outer.origin);
        }
      }
    }
  }

  private void forwards(Graph graph, Stage stage) {
    for (Node node : graph.nodes()) {
      visit(node, stage, true);
    }
  }

  private void backwards(Graph graph, Stage stage) {
    for (Node node : graph.nodes().reversed()) {
      visit(node, stage, false);
    }
  }

  private void visit(Node node, Stage stage, boolean forward) {
    if (forwardOnly && node.origin().role() != Role.FORWARD) {
      return;
    }
    if (node.op() instanceof Repeat repeat) {
      link(node, repeat);
      if (forward) {
        forwards(repeat.body(), stage);
      } else {
        backwards(repeat.body(), stage);
      }
      link(node, repeat);
      return;
    }
    Dimensions known = dimensions.computeIfAbsent(node, Dimensions::new);
    for (String factor : known.names()) {
      List<Dimensions.Place> places = known.places(factor);
      if (places.size() > 1) {
        spread(known, factor, places, stage);
      }
    }
  }

  /** A round's values are split as what they are cut from and put together to. */
  private void link(Node node, Repeat repeat) {
    List<Value> arguments = repeat.body().inputValues();
    List<Value> results = repeat.body().outputValues();
    for (int i = 0; i < node.inputs().size(); i++) {
      same(node.input(i), arguments.get(i + 1), repeat.isStacked(i) ? 1 : 0, node);
    }
    for (int i = 0; i < results.size(); i++) {
      same(node.output(i), results.get(i), i < repeat.carried() ? 0 : 1, node);
      if (i < repeat.carried()) {
        same(node.output(i), arguments.get(i + 1), 0, node);
      }
    }
  }

  private void same(Value outer, Value inner, int shift, Node node) {
    Entry a = entry(outer);
    Entry b = entry(inner);
    for (int dim = 0; dim < inner.type().rank(); dim++) {
      List<String> best =
          a.axes.get(dim + shift).size() >= b.axes.get(dim).size()
              ? a.axes.get(dim + shift)
              : b.axes.get(dim);
      extend(outer, dim + shift, best, "round of " + node.output(0).name());
      extend(inner, dim, best, "round of " + node.output(0).name());
    }
  }

  private void spread(Dimensions known, String factor, List<Dimensions.Place> places, Stage stage) {
    if (!permitted(known, factor, stage)) {
      return;
    }
    Optional<Dimensions.Place> chosen = strongest(known, factor, places);
    if (chosen.isEmpty()) {
      return;
    }
    Value from = value(known, chosen.get());
    List<String> axes = even(known, factor, entry(from).axes.get(chosen.get().dim()));
    Node node = known.node();
    boolean broadcast = node.op() instanceof Broadcast;
    String source = node.origin().source();
    String origin =
        node.op().name() + " from %" + from.name() + (source.isEmpty() ? "" : " at " + source);
    for (Dimensions.Place place : places) {
      boolean held = broadcast && place.output() && stage.compareTo(Stage.BROADCASTS) < 0;
      if (!held && !place.equals(chosen.get())) {
        extend(value(known, place), place.dim(), axes, origin);
      }
    }
  }

  private static Value value(Dimensions known, Dimensions.Place place) {
    return place.output()
        ? known.node().output(place.tensor())
        : known.node().input(place.tensor());
  }

  private boolean permitted(Dimensions known, String factor, Stage stage) {
    Node node = known.node();
    Factors.Mark mark = known.mark(factor);
    if (mark == Factors.Mark.WHOLE || mark == Factors.Mark.SCAN || mark == Factors.Mark.TOP_K) {
      boolean splits =
          node.op() instanceof Composite
              || node.op() instanceof SelfSplitting op && op.splits(factor, node.inputTypes());
      return splits
          && stage == Stage.RELUCTANT
          && known.hasInput(factor)
          && known.hasOutput(factor);
    }
    return switch (stage) {
      case ELEMENTWISE -> isElementwise(known);
      case PASSING ->
          !(node.op() instanceof Broadcast) && known.hasInput(factor) && known.hasOutput(factor);
      case ALL, BROADCASTS, RELUCTANT -> true;
    };
  }

  private static boolean isElementwise(Dimensions known) {
    Node node = known.node();
    if (node.op() instanceof Reshape || node.op() instanceof Transpose) {
      return true;
    }
    var first = known.factors().outputs().getFirst();
    return known.factors().inputs().stream().allMatch(first::equals)
        && known.factors().outputs().stream().allMatch(first::equals);
  }

  /** The place whose split the others shall take over. */
  private Optional<Dimensions.Place> strongest(
      Dimensions known, String factor, List<Dimensions.Place> places) {
    Optional<Dimensions.Place> best = Optional.empty();
    List<String> bestAxes = List.of();
    for (Dimensions.Place place : places) {
      List<String> axes = even(known, factor, entry(value(known, place)).axes.get(place.dim()));
      if (axes.isEmpty()) {
        continue;
      }
      boolean extendsBest = Resharding.isPrefix(bestAxes, axes) && axes.size() > bestAxes.size();
      boolean differs = !Resharding.isPrefix(axes, bestAxes);
      if (best.isEmpty()
          || extendsBest
          || differs && known.bytes(place) > known.bytes(best.orElseThrow())) {
        best = Optional.of(place);
        bestAxes = axes;
      }
    }
    return best;
  }

  /** Of the axes those that cut a factor of a group evenly; all where the factor stands alone. */
  private List<String> even(Dimensions known, String factor, List<String> axes) {
    if (!known.isGrouped(factor)) {
      return axes;
    }
    long rest = known.size(factor);
    int count = 0;
    for (String axis : axes) {
      int size = mesh.size(axis);
      if (rest % size != 0) {
        break;
      }
      rest /= size;
      count++;
    }
    return axes.subList(0, count);
  }

  private void extend(Value value, int dim, List<String> axes, String origin) {
    Entry entry = entry(value);
    List<String> own = entry.axes.get(dim);
    if (entry.fixed[dim] || !Resharding.isPrefix(own, axes) || own.size() == axes.size()) {
      return;
    }
    long size = value.type().size(dim);
    var longer = new ArrayList<>(own);
    for (String axis : axes.subList(own.size(), axes.size())) {
      if (entry.uses(axis) || mesh.size(longer) * (long) mesh.size(axis) > size) {
        break;
      }
      longer.add(axis);
    }
    if (longer.size() > own.size()) {
      entry.axes.set(dim, List.copyOf(longer));
      entry.origin = origin;
      changed = true;
    }
  }
}
