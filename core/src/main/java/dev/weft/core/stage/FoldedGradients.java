package dev.weft.core.stage;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.PieceGraphs.Held;
import dev.weft.core.program.Work;
import dev.weft.core.shard.Partitioner;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Backwards for the last micro-batch of a step: what they have added up is folded as soon as it is
 * made, so that devices reduce it while the rest of the backward runs.
 */
public final class FoldedGradients {
  private final Mesh mesh;
  private final Map<String, Held> held = new HashMap<>();
  private final Map<String, Layout> layouts;

  private FoldedGradients(Mesh mesh, Map<String, Layout> layouts) {
    this.mesh = mesh;
    this.layouts = layouts;
  }

  /**
   * The same graphs, with such ones for the last micro-batch where sums are to lie otherwise than
   * they are added up. A folded sum takes over its accumulator's memory; where its parts have other
   * sizes it is the output {@code name.gradient}.
   *
   * @param layouts how sums shall lie at last, by name, {@code name.sum}; what is missing stays
   */
  public static PieceGraphs of(PieceGraphs piece, Map<String, Layout> layouts) {
    var folding = new FoldedGradients(piece.mesh(), layouts);
    Map<Work, Graph> last = new HashMap<>();
    piece
        .graphs()
        .forEach(
            (work, graph) -> {
              Graph folded = folding.folded(piece, graph);
              if (folded != null) {
                last.put(work, folded);
              }
            });
    Map<String, Held> all = new HashMap<>(piece.held());
    all.putAll(folding.held);
    return new PieceGraphs(piece.piece(), piece.mesh(), piece.graphs(), piece.first(), last, all);
  }

  private @Nullable Graph folded(PieceGraphs piece, Graph graph) {
    Set<String> taken = new HashSet<>();
    graph.inputValues().forEach(value -> taken.add(value.name()));
    graph.nodes().forEach(node -> node.outputs().forEach(value -> taken.add(value.name())));
    Map<Value, Node> producers = graph.producers();
    Map<Value, List<Node>> behind = new HashMap<>();
    var outputs = new ArrayList<Graph.Output>();
    for (Graph.Output output : graph.outputs()) {
      @Nullable Value sum = output.donated();
      @Nullable Layout layout = sum == null ? null : layouts.get(sum.name());
      if (sum == null || layout == null || piece.held(sum).layout().equals(layout)) {
        outputs.add(output);
        continue;
      }
      Value made = output.value();
      Origin origin = Objects.requireNonNull(producers.get(made)).origin();
      var nodes = behind.computeIfAbsent(made, _ -> new ArrayList<>());
      Value last = fold(made, piece.held(sum), layout, origin, nodes, taken);
      boolean inPlace = last.type().equals(sum.type());
      if (!inPlace) {
        String parameter = sum.name().substring(0, sum.name().length() - ".sum".length());
        String name = parameter + ".gradient";
        last = renamed(nodes, last, new Value(name, last.type()));
        held.put(name, new Held(piece.held(sum).type(), layout));
      }
      outputs.add(new Graph.Output(last, inPlace ? sum : null));
    }
    if (behind.isEmpty()) {
      return null;
    }
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      nodes.add(node);
      node.outputs().forEach(value -> nodes.addAll(behind.getOrDefault(value, List.of())));
    }
    return Verifier.verify("folding", new Graph(graph.name(), graph.inputs(), nodes, outputs));
  }

  /** The nodes that put a device's part of a sum into another layout; gives their result. */
  private Value fold(
      Value made, Held held, Layout layout, Origin origin, List<Node> nodes, Set<String> taken) {
    var builder = new Builder("fold");
    builder.origin(origin);
    Value whole = builder.input("sum", held.type(), Graph.Kind.STATE);
    builder.output(whole);
    var given =
        new Partitioner.Given(Map.of(), Map.of(whole, held.layout()), Map.of(0, layout), Set.of());
    Graph local = Partitioner.partition(builder.build(), mesh, given).graph();
    Map<Value, Value> replaced = new HashMap<>();
    replaced.put(local.inputs().getFirst().value(), made);
    for (Node node : local.nodes()) {
      for (Value value : node.outputs()) {
        String name = made.name() + "." + value.name();
        while (!taken.add(name)) {
          name += "_";
        }
        replaced.put(value, new Value(name, value.type()));
      }
      nodes.add(
          new Node(
              node.op(),
              node.inputs().stream().map(v -> replaced.getOrDefault(v, v)).toList(),
              node.outputs().stream().map(v -> replaced.getOrDefault(v, v)).toList(),
              origin));
    }
    Value result = local.outputs().getFirst().value();
    return replaced.getOrDefault(result, result);
  }

  private static Value renamed(List<Node> nodes, Value value, Value name) {
    nodes.replaceAll(
        node ->
            new Node(
                node.op(),
                node.inputs().stream().map(v -> v.equals(value) ? name : v).toList(),
                node.outputs().stream().map(v -> v.equals(value) ? name : v).toList(),
                node.origin()));
    return name;
  }
}
