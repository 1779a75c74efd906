package dev.weft.core.op;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import java.util.List;
import java.util.Map;

/** Puts values in the place of others. */
public final class Substitution {
  private Substitution() {}

  /** A graph's outputs after values were replaced. */
  public static List<Graph.Output> outputs(Graph graph, Map<Value, Value> replaced) {
    return graph.outputs().stream()
        .map(o -> new Graph.Output(replaced.getOrDefault(o.value(), o.value()), o.donated()))
        .toList();
  }
}
