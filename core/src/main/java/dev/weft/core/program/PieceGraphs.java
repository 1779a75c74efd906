package dev.weft.core.program;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.HashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * What one piece of a model computes on each device of its mesh, by kind of work. Values of the
 * same name in different graphs are one tensor: what {@code FORWARD} keeps for {@code BACKWARD} is
 * an output of the one and an input of the other.
 *
 * <p>Inputs of the kinds PARAMETER, FACT and ACCUMULATOR are what they say; inputs of kind DATA are
 * the batch's tensors where they have such a name, and else values of another fragment or piece.
 *
 * @param piece the number of the piece
 * @param graphs FORWARD and BACKWARD, or FORWARD, INPUT_GRADIENT and WEIGHT_GRADIENT; RECOMPUTE
 *     where the forward does not keep all. Gradients of parameters are outputs donated by
 *     accumulators, {@code name.sum}
 * @param first what may run instead where accumulators hold nothing yet: the same, but that
 *     gradients are written, not added; outputs have the accumulators' names. May be empty:
 *     accumulators are cleared then
 * @param last what may run instead where nothing is added onto an accumulator any more: the same,
 *     but that sums are folded, in the accumulators' memory or as outputs {@code name.gradient}.
 *     May be empty: sums stay as they were added up then
 * @param held how inputs and outputs lie on the mesh, by name; what is missing is whole on every
 *     device
 */
public record PieceGraphs(
    int piece,
    Mesh mesh,
    Map<Work, Graph> graphs,
    Map<Work, Graph> first,
    Map<Work, Graph> last,
    Map<String, Held> held) {
  /**
   * A tensor on a mesh.
   *
   * @param type of the whole tensor
   */
  public record Held(TensorType type, Layout layout) {}

  public PieceGraphs {
    graphs = Map.copyOf(graphs);
    first = Map.copyOf(first);
    last = Map.copyOf(last);
    held = Map.copyOf(held);
  }

  /** Graphs that leave sums as they were added up. */
  public PieceGraphs(
      int piece,
      Mesh mesh,
      Map<Work, Graph> graphs,
      Map<Work, Graph> first,
      Map<String, Held> held) {
    this(piece, mesh, graphs, first, Map.of(), held);
  }

  /** The same with other graphs, of equal inputs and outputs. */
  public PieceGraphs map(UnaryOperator<Graph> pass) {
    return new PieceGraphs(
        piece, mesh, each(graphs, pass), each(first, pass), each(last, pass), held);
  }

  private static Map<Work, Graph> each(Map<Work, Graph> graphs, UnaryOperator<Graph> pass) {
    Map<Work, Graph> changed = new HashMap<>();
    graphs.forEach((work, graph) -> changed.put(work, pass.apply(graph)));
    return changed;
  }

  /** How an input or output lies on the mesh. */
  public Held held(Value value) {
    return held(value.name(), value.type());
  }

  /**
   * How a tensor lies on the mesh.
   *
   * @param local the type of each device's part
   */
  public Held held(String name, TensorType local) {
    Held known = held.get(name);
    return known != null ? known : new Held(local, Layout.whole(local.rank()));
  }
}
