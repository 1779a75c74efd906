package dev.weft.core.shard;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Reducing;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.CommonSubexpressions;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Rewrites a graph for the devices of a mesh (GSPMD, section 4): every node works on local tensors,
 * and collectives stand where a tensor is needed in another layout than it was made in.
 *
 * <p>Specs are completed by {@link Propagation}. Then nodes are taken in order; for each, all ways
 * to share its work along factors are priced, by the bytes that its operands must move, those that
 * its outputs will have to move to get to their specs, and the work that is repeated; the cheapest
 * is taken. Sums stay partial as long as that is cheaper, and a tensor that was moved once is kept
 * in all its layouts.
 */
public final class Partitioner {
  /**
   * What is decided beforehand.
   *
   * @param specs of values, beside the annotations in the graph
   * @param inputs exact layouts of inputs, as of accumulators that stay partial
   * @param outputs layouts that outputs must have, by number; an output without one gets its spec
   * @param loose outputs that may stay in whatever layout they were made in, partial too
   */
  public record Given(
      Map<Value, Spec> specs,
      Map<Value, Layout> inputs,
      Map<Integer, Layout> outputs,
      Set<Integer> loose) {
    /** Nothing but the graph's annotations. */
    public static final Given NOTHING = new Given(Map.of(), Map.of(), Map.of(), Set.of());
  }

  /** Why a collective is there. */
  record Reason(String value, TensorType global, Origin origin, String text) {
    Reason of(String other) {
      return new Reason(other, global, origin, text);
    }
  }

  private final Mesh mesh;
  private final Resharding resharding;
  private final IdentityHashMap<Value, Reason> reasons;
  private final Set<String> remarks;
  private final Map<Object, Expanded> expansions = new HashMap<>();

  /** Names that the user knows; other values are called by the forward node that they serve. */
  private final Set<String> names = new HashSet<>();

  /** Whether this rewrites what an op is made of: its values are not the user's. */
  private final boolean within;

  private Partitioner(
      Mesh mesh, IdentityHashMap<Value, Reason> reasons, Set<String> remarks, boolean within) {
    this.mesh = mesh;
    this.within = within;
    this.resharding = new Resharding(mesh);
    this.reasons = reasons;
    this.remarks = remarks;
  }

  /** Rewrites a graph with nothing decided but its annotations. */
  public static Partitioned partition(Graph graph, Mesh mesh) {
    return partition(graph, mesh, Given.NOTHING);
  }

  /** Rewrites a graph. */
  public static Partitioned partition(Graph program, Mesh mesh, Given given) {
    Graph graph = Means.asSums(program);
    var partitioner = new Partitioner(mesh, new IdentityHashMap<>(), new LinkedHashSet<>(), false);
    Propagation.Result specs = partitioner.propagate(graph, given);
    Piece piece = partitioner.rewrite(graph, specs, given);
    names(program, partitioner.names);
    var uses = new ArrayList<CollectiveUse>();
    partitioner.collect(piece.graph(), 1, uses);
    return new Partitioned(
        Verifier.verify("partitioning", piece.graph()),
        mesh,
        piece.inputs(),
        piece.outputs(),
        specs,
        uses,
        List.copyOf(partitioner.remarks));
  }

  private Propagation.Result propagate(Graph graph, Given given) {
    Map<Value, Spec> specs = new HashMap<>(given.specs());
    given.inputs().forEach((value, layout) -> specs.putIfAbsent(value, layout.spec()));
    given
        .outputs()
        .forEach((i, layout) -> specs.putIfAbsent(graph.outputs().get(i).value(), layout.spec()));
    return Propagation.propagate(graph, mesh, specs);
  }

  /** A graph of local tensors with the layouts of its ends. */
  record Piece(Graph graph, List<Layout> inputs, List<Layout> outputs) {}

  /**
   * A composite's expansion, rewritten.
   *
   * @param price of the collectives in it
   */
  record Expanded(Piece piece, double price) {}

  Mesh mesh() {
    return mesh;
  }

  Resharding resharding() {
    return resharding;
  }

  void explain(Value local, Reason reason) {
    reasons.putIfAbsent(local, within ? reason.of(reason.origin().forward()) : reason);
  }

  Optional<Reason> reason(Value local) {
    return Optional.ofNullable(reasons.get(local));
  }

  void remark(String text) {
    remarks.add(text);
  }

  /** Rewrites a graph whose specs are known. */
  Piece rewrite(Graph graph, Propagation.Result specs, Given given) {
    var builder = new Builder(graph.name());
    var versions = new Versions();
    var layouts = new ArrayList<Layout>();
    Map<Value, Value> locals = new HashMap<>();
    for (Graph.Input input : graph.inputs()) {
      Value value = input.value();
      Layout layout = given.inputs().get(value);
      if (layout == null) {
        layout = Layout.of(specs.spec(value), mesh);
      }
      Value local =
          builder.input(value.name(), resharding.local(value.type(), layout), input.kind());
      locals.put(value, local);
      versions.add(value, layout, local);
      layouts.add(layout);
    }
    var body = new BodyPartitioner(this, specs, builder, versions);
    body.count(graph, (i, axis) -> maybeParts(graph, layouts, given, i, axis));
    graph.nodes().forEach(body::node);
    var results = new ArrayList<Layout>();
    for (int i = 0; i < graph.outputs().size(); i++) {
      Graph.Output output = graph.outputs().get(i);
      Value value = output.value();
      Layout layout = given.outputs().get(i);
      Value donor = output.donated();
      if (layout == null && donor != null) {
        layout = layouts.get(graph.inputValues().indexOf(donor));
      }
      if (layout == null) {
        layout =
            given.loose().contains(i)
                ? versions.settled(value, Layout.of(specs.spec(value), mesh))
                : Layout.of(specs.spec(value), mesh);
      }
      Value local = body.convert(value, layout, "the result needs it", body.originOf(value));
      Value donated = donor == null ? null : locals.get(donor);
      // A sum that is scattered at last no longer fills the memory that its parts lay in.
      boolean fits = donated != null && donated.type().equals(local.type());
      builder.output(local, fits ? donated : null);
      results.add(layout);
    }
    Graph lean = DeadCode.eliminate(CommonSubexpressions.eliminate(builder.build()));
    return new Piece(lean, layouts, results);
  }

  /**
   * Whether an output may be parts of a sum: it lies as parts, or nothing is said of how it lies.
   *
   * @param inputs how inputs lie
   */
  private boolean maybeParts(
      Graph graph, List<Layout> inputs, Given given, int output, String axis) {
    @Nullable Layout layout = given.outputs().get(output);
    @Nullable Value donor = graph.outputs().get(output).donated();
    if (layout == null && donor != null) {
      layout = inputs.get(graph.inputValues().indexOf(donor));
    }
    // What an op is made of is used outside, nobody knows how.
    return layout == null
        ? given.loose().contains(output) && !within
        : layout.partial().containsKey(axis);
  }

  /**
   * A graph rewritten for the axes of this mesh that it may use, once for every way its inputs lie.
   *
   * @param key equal for equal graphs
   */
  Expanded expanded(
      Object key, Graph program, Mesh part, List<Layout> inputs, List<Layout> outputs) {
    var whole = List.of(key, part, inputs, outputs);
    Expanded known = expansions.get(whole);
    if (known != null) {
      return known;
    }
    Graph graph = Means.asSums(program);
    Map<Value, Layout> given = new HashMap<>();
    Map<Value, Spec> specs = new HashMap<>();
    for (int i = 0; i < inputs.size(); i++) {
      given.put(graph.inputs().get(i).value(), inputs.get(i));
    }
    Set<Integer> loose = new LinkedHashSet<>();
    for (int i = 0; i < outputs.size(); i++) {
      loose.add(i);
      Value value = graph.outputs().get(i).value();
      if (!given.containsKey(value)) {
        specs.put(value, outputs.get(i).spec());
      }
    }
    var inner = new Partitioner(part, reasons, remarks, true);
    var decided = new Given(specs, given, Map.of(), loose);
    Piece piece = inner.rewrite(graph, inner.propagate(graph, decided), decided);
    var expanded = new Expanded(piece, inner.price(piece.graph()));
    expansions.put(whole, expanded);
    return expanded;
  }

  private static void names(Graph graph, Set<String> names) {
    graph.inputValues().forEach(value -> names.add(value.name()));
    for (Node node : graph.nodes()) {
      node.outputs().forEach(value -> names.add(value.name()));
      node.op().bodies().forEach(body -> names(body, names));
    }
  }

  /** What a device pays for the collectives of a local graph. */
  double price(Graph graph) {
    var uses = new ArrayList<CollectiveUse>();
    collect(graph, 1, uses);
    return uses.stream().mapToDouble(u -> Resharding.price(u.totalBytes(), u.count())).sum();
  }

  /** Lists the collectives of a local graph, with how often each is done. */
  private void collect(Graph graph, long count, List<CollectiveUse> uses) {
    Map<Value, Node> producers = graph.producers();
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        collect(repeat.body(), count * repeat.count(), uses);
      } else if (node.op() instanceof Collective collective) {
        uses.add(use(node, collective, count, producer(producers, node.input(0))));
      }
    }
  }

  /** What makes a value, in a round of a repeat if one does; null for an input. */
  private static @Nullable Node producer(Map<Value, Node> producers, Value value) {
    Node node = producers.get(value);
    if (node != null && node.op() instanceof Repeat repeat) {
      Value inside = repeat.body().outputValues().get(node.outputs().indexOf(value));
      Node inner = producer(repeat.body().producers(), inside);
      return inner == null ? node : inner;
    }
    return node;
  }

  /**
   * @param producer makes what goes in; null for an input. What is summed is blamed on the node
   *     that made parts of a sum, what is moved on the node that needs it elsewhere.
   */
  private CollectiveUse use(Node node, Collective collective, long count, @Nullable Node producer) {
    TensorType local = node.input(0).type();
    Reason reason =
        reason(node.output(0))
            .orElse(
                new Reason(node.origin().forward(), local, node.origin(), "parts of one result"));
    Origin origin = reason.origin();
    if (collective instanceof Reducing && producer != null || !hasLine(origin)) {
      origin = producer != null && hasLine(producer.origin()) ? producer.origin() : node.origin();
    }
    boolean known = names.isEmpty() || names.contains(reason.value());
    return new CollectiveUse(
        collective,
        local,
        reason.global(),
        collective.bytesSent(local),
        count,
        // What is made again is made for the backward.
        origin.role() == Role.RECOMPUTE ? Role.INPUT_GRADIENT : origin.role(),
        known ? reason.value() : reason.origin().forward(),
        origin.source(),
        reason.text());
  }

  private static boolean hasLine(Origin origin) {
    return origin.source().contains(":");
  }
}
