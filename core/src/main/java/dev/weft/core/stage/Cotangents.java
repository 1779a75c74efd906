package dev.weft.core.stage;

import dev.weft.core.grad.Autodiff;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.overlap.Rows;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which derivatives go back between pieces.
 *
 * @param loss the name of the value that is made small
 * @param consumers for a value that is sent, by its name, the numbers of the pieces that send a
 *     derivative by it back: those where it leads to the loss, if a parameter leads to it
 */
public record Cotangents(String loss, Map<String, List<Integer>> consumers) {
  public Cotangents {
    consumers = Map.copyOf(consumers);
  }

  /** What comes back for all pieces of a model, given in order. */
  public static Cotangents of(List<Piece> pieces, String loss) {
    Set<String> active = new HashSet<>();
    for (Piece piece : pieces) {
      Graph forward = piece.forward();
      var from = new HashSet<>(forward.inputs(Graph.Kind.PARAMETER));
      for (String name : piece.received()) {
        if (active.contains(name)) {
          from.add(forward.input(name).orElseThrow());
        }
      }
      from.removeIf(value -> !value.dtype().isFloat());
      Set<Value> reached = Autodiff.reached(forward, from);
      for (Value value : forward.outputValues()) {
        if (reached.contains(value)) {
          active.add(value.name());
        }
      }
    }
    Map<String, List<Integer>> consumers = new LinkedHashMap<>();
    for (Piece piece : pieces.reversed()) {
      Set<Value> leading = new HashSet<>();
      for (Value value : piece.forward().outputValues()) {
        if (value.name().equals(loss) || consumers.containsKey(value.name())) {
          leading.add(value);
        }
      }
      for (Node node : piece.forward().nodes().reversed()) {
        if (node.outputs().stream().anyMatch(leading::contains)) {
          leading.addAll(node.inputs());
        }
      }
      for (String name : piece.received()) {
        if (active.contains(name) && leading.contains(piece.forward().input(name).orElseThrow())) {
          consumers.computeIfAbsent(name, _ -> new ArrayList<>()).addFirst(piece.number());
        }
      }
    }
    Map<String, List<Integer>> fixed = new HashMap<>();
    consumers.forEach((name, numbers) -> fixed.put(name, List.copyOf(numbers)));
    return new Cotangents(loss, fixed);
  }

  /** The pieces that send back a derivative by a value. */
  public List<Integer> of(String value) {
    return consumers.getOrDefault(value, List.of());
  }

  /**
   * Where rows lie in what pieces exchange, forward and backward.
   *
   * @param data where they lie in what the model is fed
   */
  public Rows rows(List<Piece> pieces, Rows data) {
    Rows rows = data;
    for (Piece piece : pieces) {
      rows = rows.through(piece.forward());
    }
    for (Map.Entry<String, List<Integer>> sent : consumers.entrySet()) {
      for (int piece : sent.getValue()) {
        rows = rows.alike(name(sent.getKey(), piece), sent.getKey());
      }
    }
    return rows;
  }

  /** The name of the derivative by a value that a piece sends back. */
  public static String name(String value, int piece) {
    return value + ".grad." + piece;
  }
}
