package dev.weft.core.stage;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.program.PieceGraphs.Held;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * Pieces differentiated for the devices of a mesh. Most pieces of a deep model are alike: what
 * equals an earlier piece but for names is not differentiated again.
 */
final class Differentiations {
  private final Cotangents cotangents;
  private final Mesh mesh;
  private final boolean accumulate;
  private final Partitions partitions;
  private final Map<List<Object>, Known> known = new HashMap<>();

  /**
   * A piece that was differentiated.
   *
   * @param names of all that goes in and comes out, in an order that alike pieces have in common
   */
  private record Known(List<String> names, Differentiated piece) {}

  Differentiations(Cotangents cotangents, Mesh mesh, boolean accumulate) {
    this.cotangents = cotangents;
    this.mesh = mesh;
    this.accumulate = accumulate;
    partitions = new Partitions(mesh);
  }

  /**
   * The piece, differentiated.
   *
   * @param layouts how things lie, by name, where that is decided
   */
  Differentiated of(Piece piece, Map<String, Layout> layouts) {
    List<String> names = names(piece);
    List<Object> key = key(piece, names, layouts);
    Known alike = known.get(key);
    if (alike != null) {
      return renamed(alike, piece.number(), names);
    }
    Differentiated made =
        Differentiated.of(piece, cotangents, mesh, layouts, accumulate, partitions);
    known.put(key, new Known(names, made));
    return made;
  }

  /** What goes in and comes out; a name may come twice. */
  private List<String> names(Piece piece) {
    var names = new ArrayList<String>();
    piece.forward().inputValues().forEach(value -> names.add(value.name()));
    piece.forward().outputValues().forEach(value -> names.add(value.name()));
    for (String sent : piece.sent()) {
      cotangents.of(sent).forEach(consumer -> names.add(Cotangents.name(sent, consumer)));
    }
    for (String received : piece.received()) {
      names.add(Cotangents.name(received, piece.number()));
    }
    for (Value parameter : piece.forward().inputs(Graph.Kind.PARAMETER)) {
      names.add(parameter.name() + Differentiated.SUM);
      names.add(parameter.name() + Differentiated.ADDED);
    }
    return names;
  }

  /** All that differentiating goes by: values are numbered instead of named. */
  private List<Object> key(Piece piece, List<String> names, Map<String, Layout> layouts) {
    List<Object> key = Partitions.structure(piece.forward());
    Map<String, Integer> numbers = new HashMap<>();
    for (String name : names) {
      numbers.putIfAbsent(name, numbers.size());
      key.add(Objects.requireNonNull(numbers.get(name)));
      key.add(Optional.ofNullable(layouts.get(name)));
    }
    key.add(Optional.ofNullable(numbers.get(cotangents.loss())));
    for (String sent : piece.sent()) {
      key.add(Objects.requireNonNull(numbers.get(sent)));
      key.add(cotangents.of(sent).size());
    }
    for (String received : piece.received()) {
      key.add(Objects.requireNonNull(numbers.get(received)));
      key.add(cotangents.of(received).contains(piece.number()));
    }
    return key;
  }

  private static Differentiated renamed(Known alike, int number, List<String> names) {
    Map<String, String> others = new LinkedHashMap<>();
    for (int i = 0; i < names.size(); i++) {
      others.put(alike.names().get(i), names.get(i));
    }
    Map<String, Held> held = new HashMap<>();
    alike.piece().held().forEach((name, how) -> held.put(other(others, name), how));
    return alike.piece().like(number, renamed(alike.piece().graph(), others), held);
  }

  /** The same graph with values of its own. */
  private static Graph renamed(Graph graph, Map<String, String> others) {
    Map<Value, Value> values = new HashMap<>();
    Set<String> taken = new HashSet<>();
    for (Value value : graph.inputValues()) {
      String name = other(others, value.name());
      taken.add(name);
      values.put(value, new Value(name, value.type()));
    }
    for (Value value : graph.outputValues()) {
      String name = other(others, value.name());
      taken.add(name);
      values.put(value, new Value(name, value.type()));
    }
    for (Node node : graph.nodes()) {
      for (Value value : node.outputs()) {
        if (!values.containsKey(value)) {
          values.put(value, new Value(Naming.free(value.name(), taken), value.type()));
        }
      }
    }
    return graph.replaced(values);
  }

  private static String other(Map<String, String> others, String name) {
    return Objects.requireNonNull(others.get(name), name);
  }
}
