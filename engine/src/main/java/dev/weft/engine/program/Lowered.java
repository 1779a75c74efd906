package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.collective.Hoisting;
import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.op.CachedAttention;
import dev.weft.core.op.Composite;
import dev.weft.core.op.Expansion;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;

/**
 * A graph in ops that a kind of device has kernels for, simplified; the last form that is the same
 * for all devices that run it together. From here on collectives keep their order, so that no
 * device waits for one that another has not come to because it waits itself.
 *
 * @param flops floating point operations of one run
 */
public record Lowered(Graph graph, double flops) {
  /** Expands composites that the devices have no kernel for. */
  public static Lowered of(Graph graph, DeviceKind kind) {
    return of(graph, kind, _ -> false);
  }

  /**
   * Expands composites that the devices have no kernel for.
   *
   * @param loops whether there are loops of Weft's own for a type
   */
  public static Lowered of(Graph graph, DeviceKind kind, Predicate<DataType> loops) {
    double flops = 0;
    for (Node node : graph.nodes()) {
      flops += node.cost().flops();
    }
    Graph expanded =
        Expansion.expand(
            graph, node -> node.op() instanceof Composite && !hasKernel(node, kind, loops));
    return new Lowered(Hoisting.apply(Optimize.optimize(expanded)), flops);
  }

  private static boolean hasKernel(Node node, DeviceKind kind, Predicate<DataType> loops) {
    boolean written = !node.op().kernels(kind, node.inputTypes()).isEmpty();
    // Its kernel is such a loop.
    return written
        && (!(node.op() instanceof CachedAttention) || loops.test(node.input(0).dtype()));
  }

  /** What a pass makes of the graph. */
  public Lowered map(UnaryOperator<Graph> pass) {
    return new Lowered(pass.apply(graph), flops);
  }
}
