package dev.weft.core.schedule;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Which graph makes what another takes: names connect. */
final class Wiring {
  /** One kind of work of one piece. */
  record Maker(int piece, Work work) {}

  private final List<PieceGraphs> pieces;
  private final Set<String> data;
  private final Map<String, Maker> sent = new HashMap<>();
  private final Map<Maker, Map<String, Maker>> inputs = new HashMap<>();

  /**
   * Connects pieces.
   *
   * @param data the names of what comes from outside
   * @throws IllegalStateException if nobody makes what a piece takes, or two make it
   */
  Wiring(List<PieceGraphs> pieces, Set<String> data) {
    this.pieces = pieces;
    this.data = data;
    for (int number = 0; number < pieces.size(); number++) {
      PieceGraphs piece = pieces.get(number);
      if (piece.piece() != number) {
        throw new IllegalStateException("piece " + piece.piece() + " stands at place " + number);
      }
      for (Work work : works(number)) {
        var maker = new Maker(number, work);
        for (Graph.Output output : graph(maker).outputs()) {
          String name = name(output);
          Maker other = sent.putIfAbsent(name, maker);
          boolean kept = output.donated() != null || isSum(piece, name);
          if (other != null && other.piece() != number && !kept) {
            throw new IllegalStateException(other + " and " + maker + " both make " + name);
          }
        }
      }
    }
    for (int number = 0; number < pieces.size(); number++) {
      for (Work work : works(number)) {
        var maker = new Maker(number, work);
        inputs.put(maker, connected(maker));
      }
    }
  }

  private Map<String, Maker> connected(Maker taker) {
    var found = new LinkedHashMap<String, Maker>();
    for (Value value : graph(taker).inputs(Graph.Kind.DATA)) {
      String name = value.name();
      Maker maker = own(taker, name);
      if (maker == null && !data.contains(name)) {
        maker = sent.get(name);
        if (maker == null) {
          throw new IllegalStateException("nobody makes " + name + ", which " + taker + " takes");
        }
      }
      if (maker != null) {
        found.put(name, maker);
      }
    }
    return found;
  }

  /** The latest work of the same piece, before this one, that makes it. */
  private @Nullable Maker own(Maker taker, String name) {
    return works(taker.piece()).stream()
        .filter(work -> work.compareTo(taker.work()) < 0)
        .map(work -> new Maker(taker.piece(), work))
        .filter(m -> graph(m).outputs().stream().anyMatch(o -> name(o).equals(name)))
        .max(Comparator.comparing(Maker::work))
        .orElse(null);
  }

  /** The kinds of work of a piece, in the order in which they run. */
  List<Work> works(int piece) {
    var works = new ArrayList<>(pieces.get(piece).graphs().keySet());
    works.sort(Comparator.naturalOrder());
    return works;
  }

  boolean has(Maker maker) {
    return pieces.get(maker.piece()).graphs().containsKey(maker.work());
  }

  Graph graph(Maker maker) {
    Graph graph = pieces.get(maker.piece()).graphs().get(maker.work());
    if (graph == null) {
      throw new IllegalStateException("there is no graph for " + maker);
    }
    return graph;
  }

  /** Who makes the values that a graph takes, by name. */
  Map<String, Maker> inputs(Maker maker) {
    return java.util.Objects.requireNonNull(inputs.get(maker));
  }

  /** The name by which others know a result: that of the input whose memory it takes over. */
  static String name(Graph.Output output) {
    Value donated = output.donated();
    return donated == null ? output.value().name() : donated.name();
  }

  /** Whether a name is that of a parameter's gradient, added up or folded. */
  static boolean isSum(PieceGraphs piece, String name) {
    if (!name.endsWith(".sum") && !name.endsWith(".gradient")) {
      return false;
    }
    String parameter = name.substring(0, name.lastIndexOf('.'));
    return piece.graphs().values().stream()
        .flatMap(g -> g.inputs(Graph.Kind.PARAMETER).stream())
        .anyMatch(v -> v.name().equals(parameter));
  }

  /** What a buffer is called that holds a result: made twice by one piece, it is held twice. */
  String place(Maker maker, String name) {
    boolean again = maker.work() == Work.RECOMPUTE && own(maker, name) != null;
    return again ? name + ".again" : name;
  }
}
