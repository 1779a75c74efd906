package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/** Takes the nodes of each piece out of a graph whose repeats are split where pieces meet. */
final class Extraction {
  private final Traced traced;
  private final RepeatSplit split;
  private final Graph graph;
  private final Placing placing;
  private final Map<Value, Node> producers;
  private final Map<Node, Integer> place;
  private final Map<Node, Integer> pieceOf = new HashMap<>();
  private final int count;

  Extraction(Traced traced, RepeatSplit split, Map<Unit, Integer> pieces, int count) {
    this.traced = traced;
    this.split = split;
    this.graph = split.graph();
    this.placing = Placing.of(split);
    this.producers = graph.producers();
    this.place = new HashMap<>();
    graph.nodes().forEach(node -> place.put(node, place.size()));
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

  /** The nodes that a piece computes for the wanted values; what it lacks is added to received. */
  private List<Node> collect(int piece, Set<Value> wanted, Set<Value> received) {
    Set<Node> again = new HashSet<>();
    List<Node> nodes = reach(piece, wanted, again, received);
    Set<Value> known = new HashSet<>();
    nodes.forEach(n -> known.addAll(n.outputs()));
    again.addAll(placing.again(inOrder(received), known));
    if (!again.isEmpty()) {
      received.clear();
      nodes = reach(piece, wanted, again, received);
    }
    return nodes;
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
