package dev.weft.core.simulate;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Hoisting;
import dev.weft.core.collective.Postponing;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * What a local graph takes where collectives run beside computing: they begin where they stand, one
 * after another, and the first kernel that reads a result awaits it; a view awaits nothing. Calls
 * stand as the engine orders them.
 */
public final class Exposure {
  /**
   * A kernel or a collective of some round.
   *
   * @param own what the device computes
   * @param sending what links are busy
   */
  private record Step(String name, double own, double sending) {}

  private final ClusterCosts costs;
  private final Mesh mesh;
  private final int base;
  private final Map<Node, Double> own;
  private final List<Postponing.Call<Step>> calls = new ArrayList<>();
  private final Map<Step, Postponing.Call<Step>> callOf = new IdentityHashMap<>();

  private Exposure(ClusterCosts costs, Mesh mesh, int base, Map<Node, Double> own) {
    this.costs = costs;
    this.own = own;
    this.mesh = mesh;
    this.base = base;
  }

  /**
   * The time of one run, and what of it is spent waiting for collectives.
   *
   * @param graph local, its collectives for the devices of the mesh
   * @param base the number of the mesh's first device in the cluster
   */
  public static CostModel.Duration of(Graph graph, Mesh mesh, ClusterCosts costs, int base) {
    Graph hoisted = Hoisting.apply(graph);
    var exposure = new Exposure(costs, mesh, base, costs.seconds(hoisted));
    exposure.unroll(hoisted, "", new HashMap<>());
    return exposure.run();
  }

  private CostModel.Duration run() {
    Map<Object, Double> there = new IdentityHashMap<>();
    double computing = 0;
    double sending = 0;
    var sent = new ArrayList<CostModel.Span>();
    var waits = new ArrayList<CostModel.Span>();
    for (Step step : Postponing.order(calls)) {
      Postponing.Call<Step> call = Objects.requireNonNull(callOf.get(step));
      double needed = computing;
      for (Object read : call.reads()) {
        needed = Math.max(needed, there.getOrDefault(read, 0.0));
      }
      if (needed > computing) {
        waits.add(new CostModel.Span(step.name(), computing, needed));
      }
      computing = needed + step.own();
      if (call.collective()) {
        double begin = Math.max(sending, computing);
        sending = begin + step.sending();
        sent.add(new CostModel.Span(step.name(), begin, sending));
        for (Object written : call.writes()) {
          there.put(written, sending);
        }
      }
    }
    if (sending > computing) {
      waits.add(new CostModel.Span(sent.getLast().name(), computing, sending));
    }
    return new CostModel.Duration(Math.max(computing, sending), waits, sent);
  }

  /**
   * Lists the calls of a graph, round by round.
   *
   * @param suffix of names, the numbers of rounds
   * @param makers for each value what calls make it: a view has its operands', a stack its parts'
   */
  private void unroll(Graph graph, String suffix, Map<Value, Set<Object>> makers) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        rounds(node, repeat, suffix, makers);
        continue;
      }
      Set<Object> reads = new LinkedHashSet<>();
      node.inputs().forEach(value -> reads.addAll(makers.getOrDefault(value, Set.of())));
      Double seconds = own.get(node);
      if (seconds == null) {
        node.outputs().forEach(value -> makers.put(value, reads));
        continue;
      }
      boolean collective = node.op() instanceof Collective;
      double sending =
          node.op() instanceof Collective op ? costs.collective(op, node, mesh, base) : 0;
      var step = new Step(ClusterCosts.name(node) + suffix, seconds, sending);
      var made = new Object();
      boolean work =
          Postponing.isWork(
              node.op(), node.inputTypes(), node.outputs().stream().map(Value::type).toList());
      var call = new Postponing.Call<>(step, List.copyOf(reads), List.of(made), collective, work);
      calls.add(call);
      callOf.put(step, call);
      node.outputs().forEach(value -> makers.put(value, Set.of(made)));
    }
  }

  private void rounds(Node node, Repeat repeat, String suffix, Map<Value, Set<Object>> makers) {
    List<Value> arguments = repeat.body().inputValues();
    List<Value> results = repeat.body().outputValues();
    var stacks = new HashMap<Integer, List<Set<Object>>>();
    var carried = new ArrayList<Set<Object>>();
    for (int i = 0; i < repeat.carried(); i++) {
      carried.add(makers.getOrDefault(node.input(i), Set.of()));
    }
    for (int round = 0; round < repeat.count(); round++) {
      Map<Value, Set<Object>> inside = new HashMap<>();
      for (int i = 0; i < node.inputs().size(); i++) {
        inside.put(
            arguments.get(i + 1),
            i < repeat.carried() ? carried.get(i) : makers.getOrDefault(node.input(i), Set.of()));
      }
      unroll(repeat.body(), suffix + "#" + round, inside);
      for (int i = 0; i < results.size(); i++) {
        Set<Object> made = inside.getOrDefault(results.get(i), Set.of());
        if (i < repeat.carried()) {
          carried.set(i, made);
        } else {
          stacks.computeIfAbsent(i, _ -> new ArrayList<>()).add(made);
        }
      }
    }
    for (int i = 0; i < results.size(); i++) {
      Set<Object> made = new LinkedHashSet<>();
      if (i < repeat.carried()) {
        made.addAll(carried.get(i));
      } else {
        Objects.requireNonNull(stacks.get(i)).forEach(made::addAll);
      }
      makers.put(node.output(i), made);
    }
  }
}
