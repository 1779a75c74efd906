package dev.weft.core.stage;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.grad.Residuals;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.overlap.Level;
import dev.weft.core.overlap.Rows;
import dev.weft.core.overlap.SubPipeline;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.ToDoubleFunction;

/**
 * What a piece of a model computes, differentiated and rewritten for the devices of its mesh, ready
 * to be taken apart by kind of work.
 */
public final class Fragments {
  private final Differentiated piece;
  private final List<String> remarks;
  private final Graph whole;
  private final Parts parts;

  /** What the forward has: the piece's inputs without derivatives and accumulators. */
  private final Set<Value> given;

  private Fragments(Differentiated piece, List<String> remarks) {
    this.piece = piece;
    this.remarks = remarks;
    Parts found = Parts.of(piece.graph(), piece);
    Set<Value> shared = new HashSet<>(found.residuals());
    piece.graph().outputValues().forEach(shared::remove);
    this.whole = Naming.suffixed(piece.graph(), shared, suffix(""));
    this.parts = Parts.of(whole, piece);
    this.given = new LinkedHashSet<>(whole.inputValues().subList(0, piece.forwardInputs()));
  }

  /** The end of a name that two pieces on one stage shall not both have. */
  private String suffix(String what) {
    return what + ".of." + piece.number();
  }

  /**
   * The nodes that may run forward, and what the others need of them.
   *
   * @param residuals what is kept rather than cheaply made again
   */
  private record Parts(List<Node> early, Set<Value> residuals) {
    static Parts of(Graph whole, Differentiated piece) {
      Set<Value> given = new HashSet<>(whole.inputValues().subList(0, piece.forwardInputs()));
      Set<Value> known = new HashSet<>(given);
      List<Value> outputs = whole.outputValues();
      Set<Value> leading = new HashSet<>(outputs.subList(0, piece.forwardOutputs()));
      for (Node node : whole.nodes().reversed()) {
        if (node.outputs().stream().anyMatch(leading::contains)) {
          leading.addAll(node.inputs());
        }
      }
      var early = new ArrayList<Node>();
      Set<Value> needed = new LinkedHashSet<>();
      for (Node node : whole.nodes()) {
        boolean leads = node.outputs().stream().anyMatch(leading::contains);
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
      needed.addAll(outputs.subList(piece.forwardOutputs(), outputs.size()));
      return new Parts(early, Residuals.between(early, Set.of(), needed, given).fewest());
    }
  }

  /**
   * Differentiates the pieces of a model, in order, and rewrites them for the devices of their
   * meshes, forward and backward together so that they agree. A received value lies as it is made,
   * a derivative as its value.
   *
   * @param loss the name of the value that is made small
   * @param layouts how things lie, by name, where that is decided: parameters, received values,
   *     gradients as {@code name.sum}. A gradient that is not named stays as its micro-batches make
   *     it, in parts of a sum
   * @param accumulate whether gradients are added to accumulators, {@code name.sum}; else outputs
   *     of that name are the gradients of one micro-batch
   */
  public static List<Fragments> all(
      List<Piece> pieces, String loss, Mesh mesh, Map<String, Layout> layouts, boolean accumulate) {
    Cotangents cotangents = Cotangents.of(pieces, loss);
    Map<String, Layout> known = new HashMap<>(layouts);
    var differentiations = new Differentiations(cotangents, mesh, accumulate);
    var all = new ArrayList<Fragments>();
    for (Piece piece : pieces) {
      var fragments = new Fragments(differentiations.of(piece, known), List.of());
      for (String name : piece.sent()) {
        PieceGraphs.Held held = fragments.held().get(name);
        if (held != null) {
          known.put(name, held.layout());
        }
      }
      all.add(fragments);
    }
    return all;
  }

  /**
   * The same with rows in two halves, one computing while what the other needs is sent.
   *
   * @param rows where they lie in what pieces exchange, see {@link Cotangents#rows}
   * @throws dev.weft.core.cluster.UserException if a device has but one row
   */
  public Fragments inHalves(Level level, Rows rows) {
    SubPipeline.Cut cut = SubPipeline.cut(piece.graph(), level, rows);
    return cut.graph() == piece.graph()
        ? this
        : new Fragments(piece.with(cut.graph()), cut.remarks());
  }

  /** What is sent whole though the rest is sent in halves, a sentence. */
  public List<String> remarks() {
    return remarks;
  }

  /** How many rows of a micro-batch a device has; empty where the piece takes nothing with rows. */
  public OptionalLong rows(Rows rows) {
    return SubPipeline.rows(piece.graph(), rows);
  }

  /** How what goes in and comes out lies on the mesh, by name. */
  public Map<String, PieceGraphs.Held> held() {
    return piece.held();
  }

  /** Bytes that the backward needs of the forward, beside the piece's inputs, on each device. */
  public long residualBytes() {
    return bytes(parts.residuals());
  }

  private static long bytes(Set<Value> values) {
    return values.stream().mapToLong(v -> v.type().bytes()).sum();
  }

  /**
   * Takes the piece apart.
   *
   * @param splitBackward whether what only gradients of parameters need runs by itself
   * @param cost the time of a node, in any unit; for a repeat it is asked node by node. It decides
   *     what is kept where a part is
   */
  public PieceGraphs graphs(
      Recomputation recomputation, boolean splitBackward, ToDoubleFunction<Node> cost) {
    Kept kept =
        switch (recomputation) {
          case Recomputation.None() -> new Kept(whole, parts.residuals());
          case Recomputation.Full() -> new Kept(whole, Set.of());
          case Recomputation.Fraction(double share) ->
              within((long) Math.floor(share * residualBytes()), cost);
          case Recomputation.Budget(long bytes) -> within(bytes, cost);
        };
    return graphs(kept, splitBackward);
  }

  /**
   * What the forward keeps.
   *
   * @param whole the piece, what is kept being a value of it
   */
  private record Kept(Graph whole, Set<Value> values) {}

  /** What is best kept within some bytes. */
  private Kept within(long budget, ToDoubleFunction<Node> cost) {
    if (residualBytes() <= budget) {
      return new Kept(whole, parts.residuals());
    }
    var dependencies = new Dependencies(parts.early(), given, parts.residuals(), cost);
    boolean[] choice = Keeping.choose(dependencies, budget);
    Set<Value> kept = new LinkedHashSet<>();
    Map<Node, List<Value>> inside = new java.util.IdentityHashMap<>();
    for (Dependencies.Candidate chosen : Keeping.chosen(dependencies, choice)) {
      if (chosen.repeat() == null) {
        kept.add(chosen.value());
      } else {
        inside.computeIfAbsent(chosen.repeat(), _ -> new ArrayList<>()).add(chosen.value());
      }
    }
    var nodes = new ArrayList<Node>();
    Set<Value> unnamed = new LinkedHashSet<>();
    for (Node node : whole.nodes()) {
      List<Value> values = inside.get(node);
      Node exposed = values == null ? node : BackwardSplit.exposed(node, values);
      unnamed.addAll(exposed.outputs().subList(node.outputs().size(), exposed.outputs().size()));
      nodes.add(exposed);
    }
    Graph wider = new Graph(whole.name(), whole.inputs(), nodes, whole.outputs());
    kept.addAll(unnamed);
    Set<Value> plain = new HashSet<>(kept);
    plain.removeAll(parts.residuals());
    whole.outputValues().forEach(plain::remove);
    Map<Value, Value> named = Naming.suffixes(wider, plain, suffix(""));
    Set<Value> values = new LinkedHashSet<>();
    kept.forEach(value -> values.add(named.getOrDefault(value, value)));
    return new Kept(wider.replaced(named), values);
  }

  private PieceGraphs graphs(Kept kept, boolean splitBackward) {
    Graph graph = kept.whole();
    List<Graph.Output> outputs = graph.outputs();
    Set<Value> residuals = parts.residuals();
    Map<Work, Graph> graphs = new LinkedHashMap<>();
    var forward = new ArrayList<>(outputs.subList(0, piece.forwardOutputs()));
    Set<Value> returned = new HashSet<>();
    forward.forEach(output -> returned.add(output.value()));
    kept.values().stream()
        .filter(v -> !returned.contains(v))
        .forEach(v -> forward.add(new Graph.Output(v, null)));
    graphs.put(Work.FORWARD, Slicing.graph("forward", graph, forward, given, Role.FORWARD));

    Set<Value> available = new HashSet<>(given);
    available.addAll(kept.values());
    // What is sent, and made again rather than kept, is another tensor then.
    Map<Value, Value> twice = new HashMap<>();
    var again = new ArrayList<Graph.Output>();
    for (Value value : residuals) {
      if (!kept.values().contains(value)) {
        again.add(new Graph.Output(value, null));
        if (returned.contains(value)) {
          twice.put(value, new Value(value.name() + suffix(".again"), value.type()));
        }
      }
    }
    if (!again.isEmpty()) {
      Graph made = Slicing.graph("recompute", graph, again, available, Role.RECOMPUTE);
      graphs.put(Work.RECOMPUTE, made.replaced(twice));
    }
    available.addAll(graph.inputValues());
    available.addAll(residuals);
    List<Graph.Output> gradients = outputs.subList(piece.forwardOutputs(), outputs.size());
    if (splitBackward) {
      backward(graph, gradients, available)
          .forEach((work, part) -> graphs.put(work, part.replaced(twice)));
    } else {
      Graph both = Slicing.graph("backward", graph, gradients, available, Role.RECOMPUTE);
      graphs.put(Work.BACKWARD, both.replaced(twice));
    }
    return new PieceGraphs(
        piece.number(), piece.mesh(), graphs, piece.unseeded(graphs), piece.held());
  }

  /** The backward in two parts. */
  private Map<Work, Graph> backward(
      Graph graph, List<Graph.Output> gradients, Set<Value> available) {
    List<Value> awaited =
        gradients.subList(0, piece.derivatives()).stream().map(Graph.Output::value).toList();
    Graph parted = BackwardSplit.split(graph, awaited);
    Set<Value> early = new HashSet<>(awaited);
    Set<Value> needed = new LinkedHashSet<>();
    var first = new ArrayList<Node>();
    for (Node node : parted.nodes()) {
      if (BackwardSplit.isLate(node)) {
        needed.addAll(node.inputs());
      } else {
        first.add(node);
        if (BackwardSplit.isEarly(node)) {
          early.addAll(node.outputs());
        }
      }
    }
    var now = new ArrayList<Graph.Output>();
    var later = new ArrayList<Graph.Output>();
    gradients.forEach(output -> (early.contains(output.value()) ? now : later).add(output));
    later.forEach(output -> needed.add(output.value()));
    Set<Value> crossing =
        new LinkedHashSet<>(Residuals.between(first, Set.of(), needed, available).saved());
    Set<Value> returned = new HashSet<>();
    now.forEach(output -> returned.add(output.value()));
    Set<Value> plain = new HashSet<>(crossing);
    plain.removeAll(returned);
    Map<Value, Value> named = Naming.suffixes(parted, plain, suffix(""));
    Graph renamed = parted.replaced(named);
    Set<Value> shared = new LinkedHashSet<>();
    crossing.forEach(value -> shared.add(named.getOrDefault(value, value)));
    shared.stream()
        .filter(value -> !returned.contains(value))
        .forEach(value -> now.add(new Graph.Output(value, null)));
    Map<Work, Graph> parts = new LinkedHashMap<>();
    parts.put(
        Work.INPUT_GRADIENT,
        Slicing.graph("input_gradient", renamed, now, available, Role.RECOMPUTE));
    Set<Value> there = new HashSet<>(available);
    there.addAll(shared);
    parts.put(
        Work.WEIGHT_GRADIENT,
        Slicing.graph("weight_gradient", renamed, later, there, Role.RECOMPUTE));
    return parts;
  }
}
