package dev.weft.core.shard;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.op.Shard;
import java.util.Set;
import java.util.TreeSet;

/** Whether a mesh and the annotations of a graph go together. */
public final class MeshCheck {
  private MeshCheck() {}

  /** The axes that some annotation of the graph names. */
  public static Set<String> axesInUse(Graph graph) {
    var axes = new TreeSet<String>();
    collect(graph, axes);
    return axes;
  }

  private static void collect(Graph graph, Set<String> axes) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Shard shard) {
        axes.addAll(shard.spec().axes());
      }
      node.op().bodies().forEach(body -> collect(body, axes));
    }
  }

  /**
   * Refuses a mesh with an axis that no annotation names: it would only repeat the work.
   *
   * @param inUse the axes that annotations name
   * @throws UserException naming the axis and those in use
   */
  public static void requireUsed(Mesh mesh, Set<String> inUse) {
    for (MeshAxis axis : mesh.axes()) {
      if (!inUse.contains(axis.name())) {
        throw new UserException(
            "no annotation uses mesh axis "
                + axis.name()
                + " of "
                + mesh
                + "; axes in use are "
                + (inUse.isEmpty() ? "none" : String.join(", ", inUse)));
      }
    }
  }

  /**
   * Refuses a graph that names an axis which the mesh lacks.
   *
   * @throws UserException naming tensor, axis and line
   */
  public static void requireKnown(Graph graph, Mesh mesh) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Shard shard) {
        for (String axis : shard.spec().axes()) {
          if (mesh.axis(axis).isEmpty()) {
            String source = node.origin().source();
            throw new UserException(
                "the sharding "
                    + shard.spec()
                    + " of %"
                    + Shard.annotated(graph, node.input(0)).name()
                    + (source.isEmpty() || source.startsWith("%") ? "" : " at " + source)
                    + " names mesh axis "
                    + axis
                    + ", which the mesh "
                    + mesh
                    + " lacks");
          }
        }
      }
      node.op().bodies().forEach(body -> requireKnown(body, mesh));
    }
  }
}
