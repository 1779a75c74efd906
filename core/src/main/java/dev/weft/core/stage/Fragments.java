package dev.weft.core.stage;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.grad.Residuals;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;

/**
 * What a piece of a model computes, differentiated and rewritten for the devices of its mesh, ready
 * to be taken apart by kind of work.
 */
public final class Fragments {
  private final Differentiated piece;
  private final Graph whole;

  /** Nodes that the forward may run. */
  private final List<Node> early;

  /** What the forward has: the piece's inputs without derivatives and accumulators. */
  private final Set<Value> given = new LinkedHashSet<>();

  private final Set<Value> residuals;

  private Fragments(Differentiated piece) {
    this.piece = piece;
    Graph graph = piece.graph();
    Parts parts = Parts.of(graph, piece.forwardOutputs(), piece.forwardInputs());
    Set<Value> shared = new HashSet<>(parts.residuals());
    graph.outputValues().forEach(shared::remove);
    // Two pieces on one stage must not call two things alike.
    this.whole = Naming.suffixed(graph, shared, ".of." + piece.number());
    Parts renamed = Parts.of(whole, piece.forwardOutputs(), piece.forwardInputs());
    this.early = renamed.early();
    this.residuals = renamed.residuals();
    this.given.addAll(whole.inputValues().subList(0, piece.forwardInputs()));
  }

  /**
   * The nodes that may run forward, and what the others need of them.
   *
   * @param residuals what is kept rather than cheaply made again
   */
  private record Parts(List<Node> early, Set<Value> residuals) {
    static Parts of(Graph whole, int forwardOutputs, int forwardInputs) {
      Set<Value> given = new HashSet<>(whole.inputValues().subList(0, forwardInputs));
      Set<Value> known = new HashSet<>(given);
      Set<Value> returned = new HashSet<>(whole.outputValues().subList(0, forwardOutputs));
      for (Node node : whole.nodes().reversed()) {
        if (node.outputs().stream().anyMatch(returned::contains)) {
          returned.addAll(node.inputs());
        }
      }
      var early = new ArrayList<Node>();
      Set<Value> needed = new LinkedHashSet<>();
      for (Node node : whole.nodes()) {
        boolean leads = node.outputs().stream().anyMatch(returned::contains);
        boolean forward = leads || node.origin().role() == Role.FORWARD;
        if (forward && known.containsAll(node.inputs())) {
          early.add(node);
          known.addAll(node.outputs());
        } else if (leads) {
          throw new IllegalStateException(
              node.output(0) + " is returned forward but needs what comes backward");
        } else {
          needed.addAll(node.inputs());
        }
      }
      needed.addAll(whole.outputValues().subList(forwardOutputs, whole.outputs().size()));
      return new Parts(early, Residuals.between(early, Set.of(), needed, given).fewest());
    }
  }

  /**
   * Differentiates a piece for one device: annotations are taken away.
   *
   * @param accumulate whether gradients are added to accumulators, {@code name.sum}; else outputs
   *     of that name are the gradients of one micro-batch
   */
  public static Fragments of(Piece piece, Cotangents cotangents, boolean accumulate) {
    return of(piece, cotangents, Mesh.SINGLE, Map.of(), accumulate);
  }

  /**
   * Differentiates a piece and rewrites it for the devices of a mesh, forward and backward together
   * so that they agree. A derivative lies as its value.
   *
   * @param layouts how things lie, by name, where that is decided: parameters, received values,
   *     gradients as {@code name.sum}. A gradient that is not named stays as its micro-batches make
   *     it, in parts of a sum
   */
  public static Fragments of(
      Piece piece,
      Cotangents cotangents,
      Mesh mesh,
      Map<String, Layout> layouts,
      boolean accumulate) {
    return new Fragments(Differentiated.of(piece, cotangents, mesh, layouts, accumulate));
  }

  /** How what the pieces exchange and keep lies on the mesh, by name. */
  public Map<String, PieceGraphs.Held> held() {
    return piece.held();
  }

  /** Bytes that the backward needs of the forward, beside the piece's inputs, on each device. */
  public long residualBytes() {
    return residuals.stream().mapToLong(v -> v.type().bytes()).sum();
  }

  /**
   * Takes the piece apart.
   *
   * @param splitBackward whether what only gradients of parameters need runs by itself
   * @param cost the time of a node, in any unit; of a repeat it is asked node by node
   */
  public PieceGraphs graphs(
      Recomputation recomputation, boolean splitBackward, ToDoubleFunction<Node> cost) {
    Set<Value> kept =
        switch (recomputation) {
          case Recomputation.None() -> residuals;
          case Recomputation.Full() -> Set.of();
          case Recomputation.Fraction(double share) ->
              throw new UnsupportedOperationException("keeping a part of what the backward needs");
          case Recomputation.Budget(long bytes) ->
              throw new UnsupportedOperationException("keeping a part of what the backward needs");
        };
    Map<Work, Graph> graphs = new LinkedHashMap<>();
    List<Graph.Output> outputs = whole.outputs();
    var forward = new ArrayList<>(outputs.subList(0, piece.forwardOutputs()));
    Set<Value> returned = new HashSet<>(whole.outputValues().subList(0, piece.forwardOutputs()));
    kept.stream().filter(v -> !returned.contains(v)).forEach(v -> forward.add(output(v)));
    graphs.put(Work.FORWARD, Slicing.graph("forward", whole, forward, given, Role.FORWARD));

    List<Graph.Output> again =
        residuals.stream()
            .filter(v -> !kept.contains(v) && !returned.contains(v))
            .map(Fragments::output)
            .toList();
    if (!again.isEmpty()) {
      Set<Value> available = new HashSet<>(given);
      available.addAll(kept);
      graphs.put(
          Work.RECOMPUTE, Slicing.graph("recompute", whole, again, available, Role.RECOMPUTE));
    }
    Set<Value> available = new HashSet<>(whole.inputValues());
    available.addAll(residuals);
    List<Graph.Output> gradients = outputs.subList(piece.forwardOutputs(), outputs.size());
    graphs.put(
        Work.BACKWARD, Slicing.graph("backward", whole, gradients, available, Role.RECOMPUTE));
    return new PieceGraphs(piece.number(), piece.mesh(), graphs, Map.of(), piece.held());
  }

  private static Graph.Output output(Value value) {
    return new Graph.Output(value, null);
  }
}
