package dev.weft.core.shard;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Mean;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Writes means as sums over the count of the whole, which parts of a tensor can be shared by. */
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
    Map<Value, Value> replaced = new HashMap<>();
    for (Node node : graph.nodes()) {
      List<Value> inputs = node.inputs().stream().map(v -> replaced.getOrDefault(v, v)).toList();
      if (node.op() instanceof Mean mean && !mean.dims().isEmpty()) {
        Value x = inputs.getFirst();
        Value y = node.output(0);
        double share = (double) y.type().elements() / x.type().elements();
        var before = builder.origin(node.origin());
        Tensor sum = new Tensor(builder, x).sum(mean.dims());
        replaced.put(y, sum.times(share).value());
        builder.origin(before);
      } else {
        var op =
            node.op() instanceof Repeat repeat ? repeat.withBody(asSums(repeat.body())) : node.op();
        builder.append(new Node(op, inputs, node.outputs(), node.origin()));
      }
    }
    var outputs = new ArrayList<Graph.Output>();
    for (Graph.Output output : graph.outputs()) {
      Value value = replaced.getOrDefault(output.value(), output.value());
      outputs.add(new Graph.Output(value, output.donated()));
    }
    return new Graph(graph.name(), graph.inputs(), builder.nodes(), outputs);
  }
}
