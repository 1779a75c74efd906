package dev.weft.core.overlap;

import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.Bucketing;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Hoisting;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.collective.Reducing;
import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Repeat;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Partitioned;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Looped collective matmul (Wang et al., Overlap Communication with Dependent Computation via
 * Decomposition, ASPLOS 2023; GSPMD, section 3.3): an all-gather that feeds products, and products
 * whose results are summed over devices, become n products of tiles and n - 1 permutes round a
 * ring, each of which runs beside the product of another tile.
 *
 * <p>Works on the local graph of a partitioned program, in repeats too. Products are those of
 * {@code matmul} and of {@code einsum} with two operands, along any of their dims, summed ones
 * included; what stands between a product and the collective may be any ops that keep tiles apart.
 * An all-reduce becomes the loop of a reduce-scatter and an all-gather behind it. What a product
 * waits for on both sides is looped where more is sent. What {@link SubPipeline} has cut in halves
 * stays as it is. Sums are added in the order of the ring.
 */
public final class CollectiveMatmul {
  /**
   * What is sent instead of a collective.
   *
   * @param local what goes in
   * @param count how often
   */
  record Sent(Collective op, TensorType local, int count) {}

  /** What became of a collective. */
  private sealed interface Outcome {
    /**
     * It is done in tiles.
     *
     * @param products beside which, in words
     */
    record Looped(List<Sent> sent, String products) implements Outcome {}

    /** It stays in one. */
    record Whole(String why) implements Outcome {}
  }

  private static final String HALF = "it is sent beside the other half of the rows";

  private final Map<Value, Outcome> outcomes = new HashMap<>();

  private CollectiveMatmul() {}

  /** A local graph with loops in the place of collectives where that is possible. */
  public static Graph apply(Graph graph) {
    return new CollectiveMatmul().rewritten(graph);
  }

  /** A partitioned program with loops, its list of collectives too. */
  public static Partitioned apply(Partitioned whole) {
    var loops = new CollectiveMatmul();
    Graph graph = loops.rewritten(whole.graph());
    List<Node> sent = Collective.in(whole.graph());
    var uses = new ArrayList<CollectiveUse>();
    for (int i = 0; i < sent.size(); i++) {
      loops.add(uses, sent.get(i), whole.collectives().get(i));
    }
    var remarks = new ArrayList<>(whole.remarks());
    if (loops.outcomes.values().stream().noneMatch(Outcome.Looped.class::isInstance)) {
      remarks.add(
          "collective-matmul changes nothing: no product takes what is gathered, or makes what is"
              + " summed over devices and awaited");
    }
    return new Partitioned(
        graph, whole.mesh(), whole.inputs(), whole.outputs(), whole.propagation(), uses, remarks);
  }

  private void add(List<CollectiveUse> uses, Node node, CollectiveUse use) {
    switch (outcomes.get(node.output(0))) {
      case null -> uses.add(use);
      case Outcome.Whole whole ->
          uses.add(use.withWords(use.value(), use.reason() + "; not looped: " + whole.why()));
      case Outcome.Looped looped -> {
        for (Sent sent : looped.sent()) {
          uses.add(
              new CollectiveUse(
                  sent.op(),
                  sent.local(),
                  use.global(),
                  sent.op().bytesSent(sent.local()),
                  use.count() * sent.count(),
                  use.role(),
                  use.value(),
                  use.source(),
                  use.reason() + "; looped beside the products of " + looped.products()));
        }
      }
    }
  }

  private Graph rewritten(Graph graph) {
    Graph looped = looped(Hoisting.apply(graph), 0);
    return Verifier.verify("looping collectives", DeadCode.eliminate(looped));
  }

  /**
   * One graph, or a round's.
   *
   * @param carried how many of its first results the next round takes
   */
  private Graph looped(Graph graph, int carried) {
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      nodes.add(
          node.op() instanceof Repeat repeat
              ? new Node(
                  repeat.withBody(looped(repeat.body(), repeat.carried())),
                  node.inputs(),
                  node.outputs(),
                  node.origin())
              : node);
    }
    Set<String> names = new HashSet<>();
    graph.inputValues().forEach(value -> names.add(value.name()));
    nodes.forEach(node -> node.outputs().forEach(value -> names.add(value.name())));
    Set<Node> tileProducts = new HashSet<>();
    Graph inside = new Graph(graph.name(), graph.inputs(), nodes, graph.outputs());
    return gathers(reductions(inside, carried, names, tileProducts), names, tileProducts);
  }

  private Graph reductions(Graph graph, int carried, Set<String> names, Set<Node> tileProducts) {
    Map<Value, Node> producers = graph.producers();
    Map<Value, Integer> uses = new HashMap<>();
    graph.consumers().forEach((value, readers) -> uses.merge(value, readers.size(), Integer::sum));
    graph.outputValues().forEach(value -> uses.merge(value, 1, Integer::sum));
    Set<Value> awaited = Bucketing.awaited(graph.nodes(), graph.outputValues().subList(0, carried));
    Map<Node, RingGather> gathered = gathered(graph);
    Map<Node, RingReduce> loops = new HashMap<>();
    Set<Node> gone = new HashSet<>();
    for (Node node : graph.nodes()) {
      if (!(node.op() instanceof Reducing op) || op.members() == 1) {
        continue;
      }
      Value result = node.output(0);
      if (isHalf(node)) {
        outcomes.put(result, new Outcome.Whole(HALF));
        continue;
      }
      if (node.origin().role() == Role.WEIGHT_GRADIENT && !awaited.contains(result)) {
        outcomes.put(
            result, new Outcome.Whole("nothing awaits it, it is sent beside the rest of the pass"));
        continue;
      }
      Optional<RingReduce> found = RingReduce.of(node, producers, uses);
      if (found.isEmpty()) {
        String dim = op instanceof ReduceScatter scatter ? " along dim " + scatter.dim() : "";
        outcomes.put(
            result,
            new Outcome.Whole(
                "its parts are no product's alone that can be computed in tiles" + dim));
        continue;
      }
      RingReduce loop = found.get();
      Optional<RingGather> rival =
          loop.products().stream()
              .map(gathered::get)
              .filter(gather -> gather != null && gather.bytes() >= loop.bytes())
              .findFirst();
      if (rival.isPresent()) {
        outcomes.put(
            result, new Outcome.Whole("its product is computed in tiles of what is gathered"));
        continue;
      }
      loops.put(node, loop);
      gone.addAll(loop.made());
      String products =
          loop.products().stream()
              .map(product -> "%" + product.output(0).name())
              .sorted()
              .collect(Collectors.joining(", "));
      outcomes.put(result, new Outcome.Looped(loop.sent(), products));
    }
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      RingReduce loop = loops.get(node);
      if (loop != null) {
        var ring = new Ring(((Collective) node.op()).axes(), names);
        nodes.addAll(loop.written(ring, tileProducts));
      } else if (!gone.contains(node)) {
        nodes.add(node);
      }
    }
    return new Graph(graph.name(), graph.inputs(), nodes, graph.outputs());
  }

  /** By product the gather that it could take tiles of, the one that sends most. */
  private static Map<Node, RingGather> gathered(Graph graph) {
    Map<Node, RingGather> gathered = new HashMap<>();
    for (Node node : graph.nodes()) {
      if (isGather(node)) {
        var gather = new RingGather(node, graph, new HashSet<>());
        for (Node product : gather.included()) {
          gathered.merge(product, gather, (a, b) -> a.bytes() >= b.bytes() ? a : b);
        }
      }
    }
    return gathered;
  }

  /** An all-reduce that is a loop on both sides: its last step, the all-gather, is one too. */
  private static Outcome both(Outcome first, Outcome then) {
    if (first instanceof Outcome.Looped reduced && then instanceof Outcome.Looped gathered) {
      var sent = new ArrayList<>(reduced.sent().subList(0, 1));
      sent.addAll(gathered.sent());
      return new Outcome.Looped(sent, reduced.products() + ", " + gathered.products());
    }
    return then;
  }

  private static boolean isGather(Node node) {
    return node.op() instanceof AllGather gather && gather.members() > 1 && !isHalf(node);
  }

  private static boolean isHalf(Node node) {
    return HalfName.in(node.output(0).name()).isPresent();
  }

  /** Those that send most first: a product takes tiles of one tensor only. */
  private Graph gathers(Graph graph, Set<String> names, Set<Node> tileProducts) {
    List<Node> gathers =
        graph.nodes().stream()
            .filter(CollectiveMatmul::isGather)
            .sorted(
                Comparator.comparingLong(
                    (Node node) -> -((Collective) node.op()).bytesSent(node.inputTypes())))
            .toList();
    Graph current = graph;
    for (Node node : gathers) {
      var gather = new RingGather(node, current, tileProducts);
      if (gather.loops()) {
        outcomes.merge(
            node.output(0),
            new Outcome.Looped(gather.sent(), gather.words()),
            CollectiveMatmul::both);
        var ring = new Ring(((AllGather) node.op()).axes(), names);
        List<Node> nodes = gather.written(ring, tileProducts);
        current = new Graph(graph.name(), graph.inputs(), nodes, graph.outputs());
      } else if (!(outcomes.get(node.output(0)) instanceof Outcome.Looped)) {
        outcomes.put(node.output(0), new Outcome.Whole(gather.why()));
      }
    }
    return current;
  }
}
