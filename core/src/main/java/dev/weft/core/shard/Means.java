package dev.weft.core.shard;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Mean;
import dev.weft.core.op.Multiply;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * Writes means as sums over the count of the whole, which parts of a tensor can be shared by. The
 * values of the graph stay.
 */
final class Means {
  private Means() {}

  /** A prefix that no name in the graph begins with. */
  private static String free(Graph graph) {
    String prefix = "mean.";
    while (true) {
      String tried = prefix;
      if (graph.nodes().stream()
          .flatMap(n -> n.outputs().stream())
          .noneMatch(v -> v.name().startsWith(tried))) {
        return prefix;
      }
      prefix = prefix + ".";
    }
  }

  static Graph asSums(Graph graph) {
    if (graph.nodes().stream().noneMatch(n -> n.op() instanceof Mean || n.op() instanceof Repeat)) {
      return graph;
    }
    var builder = new Builder(graph.name());
    graph.inputs().forEach(builder::append);
    builder.prefix(free(graph));
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Mean mean && !mean.dims().isEmpty()) {
        Value x = node.input(0);
        Value y = node.output(0);
        double share = (double) y.type().elements() / x.type().elements();
        var before = builder.origin(node.origin());
        Tensor sum = new Tensor(builder, x).sum(mean.dims());
        Tensor shares = sum.filled(share);
        builder.append(
            new Node(
                new Multiply(), List.of(sum.value(), shares.value()), List.of(y), node.origin()));
        builder.origin(before);
      } else {
        var op =
            node.op() instanceof Repeat repeat ? repeat.withBody(asSums(repeat.body())) : node.op();
        builder.append(new Node(op, node.inputs(), node.outputs(), node.origin()));
      }
    }
    return new Graph(graph.name(), graph.inputs(), builder.nodes(), graph.outputs());
  }
}
