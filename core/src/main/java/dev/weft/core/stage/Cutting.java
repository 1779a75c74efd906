package dev.weft.core.stage;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Repeat;
import dev.weft.core.trace.Traced;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Cuts a traced model into pieces between its units. What is cheap is no unit: views, masks,
 * constants, what follows from the batch alone and casts of parameters are computed on every piece
 * that reads them. All else is computed once and goes from the piece that makes it straight to
 * those that read it.
 */
public final class Cutting {
  private final Traced traced;
  private final List<Unit> units;

  private Cutting(Traced traced, List<Unit> units) {
    this.traced = traced;
    this.units = List.copyOf(units);
  }

  /**
   * A model that may be cut.
   *
   * @param traced its forward graph, simplified and in the types it computes in
   */
  public static Cutting of(Traced traced) {
    Graph forward = traced.graph();
    Placing placing = Placing.of(RepeatSplit.of(forward, Map.of()));
    var units = new ArrayList<Unit>();
    for (Node node : lastMoment(forward)) {
      if (placing.place(node) == Placing.Place.DECIDED) {
        int rounds = node.op() instanceof Repeat repeat ? repeat.count() : 1;
        for (int round = 0; round < rounds; round++) {
          units.add(new Unit(node, round));
        }
      }
    }
    return new Cutting(traced, units);
  }

  /**
   * The units in an order in which they can be computed: the model's own, but that what is needed
   * late only is computed late.
   */
  public List<Unit> units() {
    return units;
  }

  /** The nodes that the outputs need, each right before the first that reads it. */
  private static List<Node> lastMoment(Graph graph) {
    Map<Value, Node> producers = graph.producers();
    Map<Node, Integer> place = places(graph);
    var ordered = new LinkedHashSet<Node>();
    var open = new ArrayDeque<Node>();
    for (Value output : graph.outputValues()) {
      Node root = producers.get(output);
      if (root != null) {
        open.push(root);
      }
      while (!open.isEmpty()) {
        Node node = open.getFirst();
        // Of several inputs that of the longer past is computed first: it was traced last.
        Node next =
            node.inputs().stream()
                .filter(producers::containsKey)
                .map(producers::get)
                .filter(n -> !ordered.contains(n))
                .max(Comparator.comparing(place::get))
                .orElse(null);
        if (next != null) {
          open.push(next);
        } else {
          ordered.add(open.pop());
        }
      }
    }
    return List.copyOf(ordered);
  }

  private static Map<Node, Integer> places(Graph graph) {
    var places = new HashMap<Node, Integer>();
    graph.nodes().forEach(node -> places.put(node, places.size()));
    return places;
  }

  /**
   * Cuts into pieces of about the same count of operations and bytes.
   *
   * @throws UserException if the model has fewer units than that
   */
  public List<Piece> even(int pieces) {
    checkCount(pieces);
    double[] upTo = new double[units.size() + 1];
    for (int i = 0; i < units.size(); i++) {
      double cost =
          units.get(i).nodes().stream().mapToDouble(n -> n.cost().flops() + n.cost().bytes()).sum();
      upTo[i + 1] = upTo[i] + cost;
    }
    var assigned = new ArrayList<Integer>();
    int piece = 0;
    for (int i = 0; i < units.size(); i++) {
      boolean full = (upTo[i] + upTo[i + 1]) / 2 >= upTo[units.size()] * (piece + 1) / pieces;
      boolean mustMove = units.size() - i < pieces - piece;
      if (i > 0 && piece < pieces - 1 && assigned.getLast() == piece && (full || mustMove)) {
        piece++;
      }
      assigned.add(piece);
    }
    return cut(assigned);
  }

  private void checkCount(int pieces) {
    if (pieces < 1) {
      throw new UserException("a model is cut into at least 1 piece, found " + pieces);
    }
    if (pieces > units.size()) {
      throw new UserException(
          "%d pieces are asked for, but this model can be cut into at most %d: choose fewer stages or a model of more layers"
              .formatted(pieces, units.size()));
    }
  }

  /**
   * Cuts as told.
   *
   * @param pieceOfUnit for each of {@link #units} its piece, from 0; no unit is on an earlier piece
   *     than what it reads
   * @return the pieces in order
   * @throws IllegalArgumentException if that is not so, or if a piece has no units
   */
  public List<Piece> cut(List<Integer> pieceOfUnit) {
    if (pieceOfUnit.size() != units.size()) {
      throw new IllegalArgumentException(
          pieceOfUnit.size() + " units are given a piece, of " + units.size());
    }
    int count = pieceOfUnit.stream().mapToInt(p -> p).max().orElse(0) + 1;
    if (!units.isEmpty() && new HashSet<>(pieceOfUnit).size() != count) {
      throw new IllegalArgumentException("a piece has no units: " + pieceOfUnit);
    }
    return cut(pieceOfUnit, count);
  }

  /**
   * Cuts another form of a model, as without dropout, as this one was cut: what reads a parameter
   * is where that is. A piece may have nothing to do.
   *
   * @param pieces that the model was cut into
   */
  public List<Piece> like(List<Piece> pieces) {
    return cut(new Following(traced, units, pieces).pieceOfUnit(), pieces.size());
  }

  private List<Piece> cut(List<Integer> pieceOfUnit, int count) {
    Map<Unit, Integer> pieces = new HashMap<>();
    Map<Node, List<Integer>> starts = new HashMap<>();
    for (int i = 0; i < units.size(); i++) {
      Unit unit = units.get(i);
      pieces.put(unit, pieceOfUnit.get(i));
      if (unit.round() == 0
          || !pieceOfUnit.get(i).equals(pieces.get(new Unit(unit.node(), unit.round() - 1)))) {
        starts.computeIfAbsent(unit.node(), _ -> new ArrayList<>()).add(unit.round());
      }
    }
    return new Extraction(RepeatSplit.of(traced.graph(), starts), pieces, count).pieces();
  }

  /** Takes the nodes of each piece out of the graph with split repeats. */
  private final class Extraction {
    private final RepeatSplit split;
    private final Graph graph;
    private final Placing placing;
    private final Map<Value, Node> producers;
    private final Map<Node, Integer> place;
    private final Map<Node, Integer> pieceOf = new HashMap<>();
    private final int count;

    Extraction(RepeatSplit split, Map<Unit, Integer> pieces, int count) {
      this.split = split;
      this.graph = split.graph();
      this.placing = Placing.of(split);
      this.producers = graph.producers();
      this.place = places(graph);
      this.count = count;
      for (Node node : graph.nodes()) {
        int earliest = 0;
        for (Value input : node.inputs()) {
          Node producer = producers.get(input);
          if (producer != null && placing.place(producer) != Placing.Place.ANYWHERE) {
            earliest = Math.max(earliest, pieceOf.getOrDefault(producer, 0));
          }
        }
        if (placing.place(node) == Placing.Place.DECIDED) {
          Unit unit = split.segments().getOrDefault(node, new Unit(node, 0));
          int piece = pieces.getOrDefault(unit, count - 1);
          if (piece < earliest) {
            throw new IllegalArgumentException(
                unit.name() + " on piece " + piece + " reads a value of piece " + earliest);
          }
          pieceOf.put(node, piece);
        } else {
          pieceOf.put(node, earliest);
        }
      }
    }

    List<Piece> pieces() {
      List<Set<Value>> sent = new ArrayList<>();
      List<Set<Value>> received = new ArrayList<>();
      for (int piece = 0; piece < count; piece++) {
        sent.add(new LinkedHashSet<>());
        received.add(new LinkedHashSet<>());
      }
      List<List<Value>> returned = returned();
      List<List<Node>> nodes = new ArrayList<>();
      for (int piece = count - 1; piece >= 0; piece--) {
        Set<Value> wanted = new HashSet<>(sent.get(piece));
        wanted.addAll(returned.get(piece));
        nodes.addFirst(collect(piece, wanted, received.get(piece)));
        for (Value value : received.get(piece)) {
          sent.get(pieceOf(value)).add(value);
        }
      }
      var rows = new ParameterRows(split, traced.parameters(), nodes);
      var pieces = new ArrayList<Piece>();
      for (int piece = 0; piece < count; piece++) {
        pieces.add(
            piece(
                piece,
                rows.adapt(piece, nodes.get(piece)),
                inOrder(received.get(piece)),
                inOrder(sent.get(piece)),
                returned.get(piece)));
      }
      return pieces;
    }

    /** What the model returns, for each piece; what all can have is made where the loss is. */
    private List<List<Value>> returned() {
      List<Value> outputs = graph.outputValues().stream().distinct().toList();
      int home =
          outputs.stream()
              .filter(v -> !placing.isAnywhere(v))
              .mapToInt(this::pieceOf)
              .findFirst()
              .orElse(count - 1);
      List<List<Value>> returned = new ArrayList<>();
      for (int piece = 0; piece < count; piece++) {
        returned.add(new ArrayList<>());
      }
      for (Value output : outputs) {
        returned.get(placing.isAnywhere(output) ? home : pieceOf(output)).add(output);
      }
      return returned;
    }

    private Node maker(Value value) {
      return Objects.requireNonNull(producers.get(value), value::toString);
    }

    private int pieceOf(Node node) {
      return Objects.requireNonNull(pieceOf.get(node));
    }

    private int pieceOf(Value value) {
      return pieceOf(maker(value));
    }

    private List<Value> inOrder(Set<Value> values) {
      return values.stream()
          .sorted(
              Comparator.comparing((Value v) -> place.get(maker(v)))
                  .thenComparing(v -> maker(v).outputs().indexOf(v)))
          .toList();
    }

    /**
     * The nodes that a piece computes for the wanted values; what it lacks is added to received.
     */
    private List<Node> collect(int piece, Set<Value> wanted, Set<Value> received) {
      Set<Node> again = new HashSet<>();
      List<Node> nodes = reach(piece, wanted, again, received);
      Set<Value> known = new HashSet<>();
      nodes.forEach(n -> known.addAll(n.outputs()));
      boolean changed = false;
      for (Value value : inOrder(received)) {
        var chain = new HashSet<Node>();
        long budget = (long) (Placing.CHEAP_FLOPS * value.type().elements());
        if (follows(value, known, chain, budget)) {
          again.addAll(chain);
          changed = true;
        }
        known.add(value);
      }
      if (changed) {
        received.clear();
        nodes = reach(piece, wanted, again, received);
      }
      return nodes;
    }

    /** Whether a value follows cheaply from others that the piece has anyway. */
    private boolean follows(Value value, Set<Value> known, Set<Node> chain, long budget) {
      if (known.contains(value) || placing.isFree(value)) {
        return true;
      }
      Node producer = producers.get(value);
      if (producer == null || placing.isAnywhere(value)) {
        return false;
      }
      if (chain.contains(producer)) {
        return true;
      }
      if (!Placing.isCheap(producer, Placing.made(producer)) || producer.cost().flops() > budget) {
        return false;
      }
      chain.add(producer);
      long rest = budget - (long) producer.cost().flops();
      return producer.inputs().stream().allMatch(v -> follows(v, known, chain, rest));
    }

    private List<Node> reach(int piece, Set<Value> wanted, Set<Node> again, Set<Value> received) {
      Set<Value> alive = new HashSet<>(wanted);
      var nodes = new ArrayList<Node>();
      for (Node node : graph.nodes().reversed()) {
        if (node.outputs().stream().noneMatch(alive::contains)) {
          continue;
        }
        boolean local =
            switch (placing.place(node)) {
              case ANYWHERE, READER -> true;
              case MAKER, DECIDED -> pieceOf(node) == piece || again.contains(node);
            };
        if (local) {
          nodes.add(node);
          alive.addAll(node.inputs());
        } else {
          node.outputs().stream().filter(alive::contains).forEach(received::add);
        }
      }
      return nodes.reversed();
    }

    private Piece piece(
        int number,
        ParameterRows.Adapted adapted,
        List<Value> received,
        List<Value> sent,
        List<Value> returned) {
      Set<Value> read = new HashSet<>(returned);
      adapted.nodes().forEach(n -> read.addAll(n.inputs()));
      var inputs = new ArrayList<Graph.Input>();
      received.forEach(v -> inputs.add(new Graph.Input(v, Graph.Kind.DATA)));
      for (Graph.Input input : graph.inputs()) {
        if (input.kind() != Graph.Kind.PARAMETER && read.contains(input.value())) {
          inputs.add(input);
        }
      }
      adapted.values().forEach(v -> inputs.add(new Graph.Input(v, Graph.Kind.PARAMETER)));
      var outputs = new LinkedHashSet<>(sent);
      outputs.addAll(returned);
      Graph forward =
          new Graph(
              graph.name(),
              inputs,
              adapted.nodes(),
              outputs.stream().map(v -> new Graph.Output(v, null)).toList());
      return new Piece(
          number,
          Verifier.verify("cutting", forward),
          adapted.parameters(),
          names(received),
          names(sent),
          names(returned));
    }

    private static List<String> names(List<Value> values) {
      return values.stream().map(Value::name).toList();
    }
  }
}
