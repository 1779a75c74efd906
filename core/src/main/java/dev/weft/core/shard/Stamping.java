package dev.weft.core.shard;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Origin;
import dev.weft.core.op.Repeat;

/** Gives all nodes of an expansion the origin of what was expanded. */
final class Stamping {
  private Stamping() {}

  static Graph stamp(Graph graph, Origin origin) {
    return new Graph(
        graph.name(),
        graph.inputs(),
        graph.nodes().stream()
            .map(
                node -> {
                  Op op =
                      node.op() instanceof Repeat repeat
                          ? repeat.withBody(stamp(repeat.body(), origin))
                          : node.op();
                  return new Node(op, node.inputs(), node.outputs(), origin);
                })
            .toList(),
        graph.outputs());
  }
}
