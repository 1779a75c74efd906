package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.stage.RepeatSplit.Rows;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The load of every run of units, as a piece of its own. All is read from the graph with each round
 * by itself.
 */
final class Loads {
  private final CutCosts costs;
  private final Placing placing;
  private final Map<Value, Node> producers;
  private final Map<Node, Integer> place = new IdentityHashMap<>();
  private final List<Node> unitNodes = new ArrayList<>();
  private final double[] unitTimes;
  private final double[] unitForwards;
  private final long[] unitKept;

  /** Of each node the unit that it goes with: itself, or the last unit that it follows from. */
  private final Map<Node, Integer> home = new IdentityHashMap<>();

  private final RepeatSplit split;
  private final Set<Value> parameters;

  /** What the model returns, by the unit whose piece makes it. */
  private final Map<Integer, List<Value>> returned = new HashMap<>();

  private final Map<Graph, Double> bodyTimes = new IdentityHashMap<>();
  private final Map<Graph, Double> bodyForwards = new IdentityHashMap<>();
  private final Map<Graph, Long> bodyKept = new IdentityHashMap<>();

  Loads(Cutting cutting, CutCosts costs) {
    this.costs = costs;
    List<Unit> units = cutting.units();
    Graph forward = cutting.traced().graph();
    Map<Node, List<Integer>> starts = new HashMap<>();
    for (Node node : forward.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        starts.put(node, IntStream.range(0, repeat.count()).boxed().toList());
      }
    }
    split = RepeatSplit.of(forward, starts);
    Graph graph = split.graph();
    placing = Placing.of(split);
    producers = graph.producers();
    parameters = Set.copyOf(graph.inputs(Graph.Kind.PARAMETER));
    Map<Unit, Node> nodeOf = new HashMap<>();
    for (Node node : graph.nodes()) {
      place.put(node, place.size());
      nodeOf.put(split.segments().getOrDefault(node, new Unit(node, 0)), node);
    }
    unitTimes = new double[units.size()];
    unitForwards = new double[units.size()];
    unitKept = new long[units.size()];
    for (int i = 0; i < units.size(); i++) {
      Node node = Objects.requireNonNull(nodeOf.get(units.get(i)));
      unitNodes.add(node);
      home.put(node, i);
      unitTimes[i] = units.get(i).nodes().stream().mapToDouble(this::time).sum();
      unitForwards[i] = units.get(i).nodes().stream().mapToDouble(this::forward).sum();
      unitKept[i] = units.get(i).nodes().stream().mapToLong(this::kept).sum();
      if (units.get(i).node().op() instanceof Repeat repeat) {
        unitTimes[i] = body(repeat.body(), bodyTimes, costs::time);
        unitForwards[i] = body(repeat.body(), bodyForwards, costs::forward);
        unitKept[i] = bodyKept(repeat.body());
      }
    }
    for (Node node : graph.nodes()) {
      if (!home.containsKey(node)) {
        int last = -1;
        for (Value input : node.inputs()) {
          Node producer = producers.get(input);
          last = Math.max(last, producer == null ? -1 : home.getOrDefault(producer, -1));
        }
        home.put(node, last);
      }
    }
    int loss =
        graph.outputValues().stream()
            .filter(v -> !placing.isAnywhere(v))
            .mapToInt(v -> home(maker(v)))
            .findFirst()
            .orElse(units.size() - 1);
    for (Value output : graph.outputValues()) {
      int unit = placing.isAnywhere(output) ? loss : home(maker(output));
      returned.computeIfAbsent(unit, _ -> new ArrayList<>()).add(output);
    }
  }

  int units() {
    return unitNodes.size();
  }

  private double time(Node node) {
    return of(node, bodyTimes, costs::time);
  }

  private double forward(Node node) {
    return of(node, bodyForwards, costs::forward);
  }

  private static double of(Node node, Map<Graph, Double> bodies, ToDoubleFunction<Node> cost) {
    return node.op() instanceof Repeat repeat
        ? repeat.count() * body(repeat.body(), bodies, cost)
        : cost.applyAsDouble(node);
  }

  private static double body(Graph body, Map<Graph, Double> bodies, ToDoubleFunction<Node> cost) {
    Double known = bodies.get(body);
    if (known == null) {
      known = body.nodes().stream().mapToDouble(node -> of(node, bodies, cost)).sum();
      bodies.put(body, known);
    }
    return known;
  }

  private long kept(Node node) {
    return node.op() instanceof Repeat repeat
        ? repeat.count() * bodyKept(repeat.body())
        : costs.kept(node);
  }

  private long bodyKept(Graph body) {
    Long known = bodyKept.get(body);
    if (known == null) {
      known = body.nodes().stream().mapToLong(this::kept).sum();
      bodyKept.put(body, known);
    }
    return known;
  }

  /** Runs of units that begin at one, by how many they are: the first is that of one unit. */
  List<Load> from(int first, double longest) {
    var run = new Run(first);
    var loads = new ArrayList<Load>();
    for (int unit = first; unit < unitNodes.size(); unit++) {
      run.add(unit);
      // What a run receives may become less when it grows, its own time not.
      if (run.time > longest) {
        break;
      }
      loads.add(run.load());
    }
    return loads;
  }

  /** What one run of units receives, reads and computes. */
  Load of(int first, int end) {
    var run = new Run(first);
    for (int unit = first; unit < end; unit++) {
      run.add(unit);
    }
    return run.load();
  }

  /** A run of units that grows. */
  private final class Run {
    private final int first;
    private final Set<Node> visited = new HashSet<>();
    private final Set<Value> known = new HashSet<>();
    private final TreeSet<Value> needs = new TreeSet<>(Loads.this::compare);
    private final Map<Value, Rows> rows = new HashMap<>();
    private double time;
    private double forward;
    private long kept;
    private long parameterBytes;
    private boolean changed;
    private double receiving;
    private long received;
    private double again;
    private double forwardAgain;

    Run(int first) {
      this.first = first;
    }

    void add(int unit) {
      time += unitTimes[unit];
      forward += unitForwards[unit];
      kept += unitKept[unit];
      unitNodes.get(unit).inputs().forEach(v -> read(v, null));
      returned.getOrDefault(unit, List.of()).forEach(v -> read(v, null));
      if (changed) {
        changed = false;
        settle();
      }
    }

    private void read(Value value, @Nullable Rows taken) {
      Node producer = producers.get(value);
      if (producer == null) {
        if (parameters.contains(value)) {
          countParameter(value, taken);
        }
        return;
      }
      boolean local =
          switch (placing.place(producer)) {
            case ANYWHERE, READER -> true;
            case MAKER -> home(producer) >= first;
            case DECIDED -> false;
          };
      if (local) {
        if (visited.add(producer)) {
          time += time(producer);
          forward += forward(producer);
          known.addAll(producer.outputs());
          producer.inputs().forEach(v -> read(v, split.rows().get(producer)));
        }
      } else if (home(producer) < first) {
        changed |= needs.add(value);
      }
    }

    private void countParameter(Value value, @Nullable Rows taken) {
      int size = value.type().rank() == 0 ? 1 : Math.toIntExact(value.type().size(0));
      Rows before = rows.getOrDefault(value, new Rows(0, 0));
      Rows more = taken == null ? new Rows(0, size) : taken;
      Rows now =
          before.to() == 0
              ? more
              : new Rows(Math.min(before.from(), more.from()), Math.max(before.to(), more.to()));
      rows.put(value, now);
      long added = (now.to() - now.from()) - (before.to() - before.from());
      parameterBytes += size == 0 ? 0 : value.type().bytes() / size * added;
    }

    private void settle() {
      Set<Node> repeated = placing.again(needs, known);
      again = repeated.stream().mapToDouble(Loads.this::time).sum();
      forwardAgain = repeated.stream().mapToDouble(Loads.this::forward).sum();
      received = 0;
      receiving = 0;
      for (Value value : needs) {
        if (!repeated.contains(producers.get(value))) {
          received += value.type().bytes();
          receiving += costs.receiving(value.type());
        }
      }
    }

    Load load() {
      return new Load(
          time + again + receiving, forward + forwardAgain, received, parameterBytes, kept);
    }
  }

  private Node maker(Value value) {
    return Objects.requireNonNull(producers.get(value), value::toString);
  }

  private int home(Node node) {
    return Objects.requireNonNull(home.get(node));
  }

  private int compare(Value a, Value b) {
    Node first = maker(a);
    Node second = maker(b);
    int nodes =
        Integer.compare(
            Objects.requireNonNull(place.get(first)), Objects.requireNonNull(place.get(second)));
    return nodes != 0
        ? nodes
        : Integer.compare(first.outputs().indexOf(a), second.outputs().indexOf(b));
  }
}
