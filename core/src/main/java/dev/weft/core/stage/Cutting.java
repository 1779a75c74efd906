package dev.weft.core.stage;

import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
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
import java.util.Set;
import java.util.TreeSet;

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

  /** The model. */
  public Traced traced() {
    return traced;
  }

  /** The nodes that the outputs need, each right before the first that reads it. */
  private static List<Node> lastMoment(Graph graph) {
    Map<Value, Node> producers = graph.producers();
    Map<Node, Integer> place = new HashMap<>();
    graph.nodes().forEach(node -> place.put(node, place.size()));
    var ordered = new LinkedHashSet<Node>();
    var open = new ArrayDeque<Node>();
    for (Value output : graph.outputValues()) {
      Node root = producers.get(output);
      if (root != null) {
        open.push(root);
      }
      while (!open.isEmpty()) {
        Node node = open.getFirst();
        // What was traced last has the longer past: it is computed first.
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

  /**
   * Where pieces begin if the model is cut right before named scopes, {@code h.3} for the fourth of
   * repeated layers: the first unit of each piece, for {@link #at}.
   *
   * @throws UserException if there is no such scope, if it lies within a layer, or if nothing
   *     stands before it
   */
  public List<Integer> before(List<String> scopes) {
    var starts = new TreeSet<Integer>();
    starts.add(0);
    for (String scope : scopes) {
      int first = 0;
      while (first < units.size() && !isWithin(units.get(first).name(), scope)) {
        first++;
      }
      if (first == units.size()) {
        throw unknown(scope);
      }
      if (!starts.add(first)) {
        throw new UserException(
            "a cut before '%s' leaves a stage without anything to compute: %s; leave it out"
                .formatted(
                    scope, first == 0 ? "the model begins there" : "another cut is there already"));
      }
    }
    return List.copyOf(starts);
  }

  private static boolean isWithin(String name, String scope) {
    return name.equals(scope) || name.startsWith(scope + ".");
  }

  private UserException unknown(String scope) {
    var known = new LinkedHashSet<String>();
    for (Unit unit : units) {
      String name = unit.name();
      if (isWithin(scope, name) && unit.node().op() instanceof Repeat) {
        return new UserException(
            "'%s' lies within a layer, and layers that repeat are cut between them only: cut before '%s'"
                .formatted(scope, name));
      }
      for (int end = name.indexOf('.'); end >= 0; end = name.indexOf('.', end + 1)) {
        known.add(name.substring(0, end));
      }
      known.add(name);
    }
    String some = String.join(", ", known.stream().limit(12).toList());
    return new UserException(
        "the model has no scope '%s' to cut before%s; it has %s%s"
            .formatted(
                scope,
                Suggestion.hint(scope, known),
                some,
                known.size() > 12 ? " and %d more".formatted(known.size() - 12) : ""));
  }

  /**
   * Cuts a model into runs of units.
   *
   * @param starts the first unit of each piece, ascending, the first 0
   * @return the pieces in order
   */
  public List<Piece> at(List<Integer> starts) {
    var pieceOfUnit = new ArrayList<Integer>();
    int piece = -1;
    for (int i = 0; i < units.size(); i++) {
      if (piece + 1 < starts.size() && starts.get(piece + 1) == i) {
        piece++;
      }
      pieceOfUnit.add(piece);
    }
    return cut(pieceOfUnit);
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
    Set<Integer> used = new HashSet<>(pieceOfUnit);
    if (!units.isEmpty() && (used.size() != count || used.contains(-1))) {
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
      Integer piece = pieceOfUnit.get(i);
      pieces.put(unit, piece);
      boolean stays =
          unit.round() > 0 && piece.equals(pieces.get(new Unit(unit.node(), unit.round() - 1)));
      if (!stays) {
        starts.computeIfAbsent(unit.node(), _ -> new ArrayList<>()).add(unit.round());
      }
    }
    return new Extraction(traced, RepeatSplit.of(traced.graph(), starts), pieces, count).pieces();
  }
}
