package dev.weft.core.stage;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.PieceGraphs.Held;
import dev.weft.core.program.Work;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** A piece that is only computed forward. */
public final class ForwardPiece {
  private ForwardPiece() {}

  /**
   * Rewrites a piece for the devices of a mesh.
   *
   * @param layouts how parameters and received values lie, by name; what it sends is entered. What
   *     the model returns is whole on every device
   * @param partitions for the mesh, of other pieces too
   */
  public static PieceGraphs of(
      Piece piece, Mesh mesh, Map<String, Layout> layouts, Partitions partitions) {
    Graph graph = piece.forward();
    List<String> names = graph.outputValues().stream().map(Value::name).toList();
    List<Role> roles = Collections.nCopies(names.size(), Role.FORWARD);
    if (mesh.size() == 1) {
      Graph named = Naming.outputs(graph, names, roles);
      return new PieceGraphs(piece.number(), mesh, Map.of(Work.FORWARD, named), Map.of(), Map.of());
    }
    Map<Value, Layout> inputs = new HashMap<>();
    for (Value input : graph.inputValues()) {
      Layout layout = layouts.get(input.name());
      if (layout != null) {
        inputs.put(input, layout);
      }
    }
    Map<Integer, Layout> outputs = new HashMap<>();
    Set<String> returned = new HashSet<>(piece.returned());
    for (int i = 0; i < names.size(); i++) {
      if (returned.contains(names.get(i))) {
        outputs.put(i, Layout.whole(graph.outputValues().get(i).type().rank()));
      }
    }
    Partitioned local =
        partitions.of(graph, new Partitioner.Given(Map.of(), inputs, outputs, Set.of()));
    Map<String, Held> held = new HashMap<>();
    for (int i = 0; i < graph.inputs().size(); i++) {
      Value value = graph.inputValues().get(i);
      held.put(value.name(), new Held(value.type(), local.inputs().get(i)));
    }
    for (int i = 0; i < names.size(); i++) {
      Layout layout = local.outputs().get(i);
      held.put(names.get(i), new Held(graph.outputValues().get(i).type(), layout));
      layouts.put(names.get(i), layout);
    }
    Graph named = Naming.outputs(local.graph(), names, roles);
    return new PieceGraphs(piece.number(), mesh, Map.of(Work.FORWARD, named), Map.of(), held);
  }
}
