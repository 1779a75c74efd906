package dev.weft.core.collective;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Expansion;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.BiFunction;

/**
 * Makes of the one program of all devices the program of one. Ops that ask where the device stands
 * become ordinary ones; what they hand through, and collectives of a group of one, are gone.
 *
 * <p>All other collectives stay, in their order, also those whose results this device does not
 * read: others may need it to take part. Passes that take away or merge nodes must run before, on
 * the program of all devices, so that they decide alike for all.
 */
public final class Specialization {
  private Specialization() {}

  /**
   * The program of one device.
   *
   * @param device its number in the mesh
   */
  public static Graph on(Graph graph, Mesh mesh, int device) {
    return Verifier.verify(
        "specialization", Expansion.replace(graph, node -> replacement(node, mesh, device)));
  }

  private static Optional<Graph> replacement(Node node, Mesh mesh, int device) {
    return switch (node.op()) {
      case Coordinated op ->
          Optional.of(
              graph(
                  op,
                  node.inputTypes(),
                  (builder, inputs) ->
                      List.of(op.on(builder, mesh.tile(device, op.axes()), inputs))));
      case HaloExchange halo when halo.members() == 1 ->
          Optional.of(
              graph(
                  halo,
                  node.inputTypes(),
                  (builder, inputs) ->
                      List.of(
                          WindowSlice.of(halo.axes(), halo.dim(), halo.range(), halo.fill(), false)
                              .on(builder, 0, inputs))));
      case Collective op when op.members() == 1 ->
          Optional.of(graph(op, node.inputTypes(), (_, inputs) -> inputs));
      default -> Optional.empty();
    };
  }

  private static Graph graph(
      Op op, List<TensorType> types, BiFunction<Builder, List<Tensor>, List<Tensor>> meaning) {
    var builder = new Builder(op.name());
    var inputs = new ArrayList<Tensor>();
    for (int i = 0; i < types.size(); i++) {
      inputs.add(new Tensor(builder, builder.input("x" + i, types.get(i), Graph.Kind.DATA)));
    }
    meaning.apply(builder, inputs).forEach(result -> builder.output(result.value()));
    return builder.build();
  }
}
