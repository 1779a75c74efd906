package dev.weft.core.trace;

import dev.weft.core.graph.Graph;
import java.util.List;

/**
 * A traced model.
 *
 * @param graph its inputs are the data, the facts that the model asked for, and the parameters
 * @param parameters what the graph's parameter inputs are, in the same order
 */
public record Traced(Graph graph, List<Parameter> parameters) {
  public Traced {
    parameters = List.copyOf(parameters);
  }

  /** How many numbers are trained. */
  public long parameterCount() {
    return parameters.stream().filter(p -> !p.averaged()).mapToLong(p -> p.type().elements()).sum();
  }

  public Traced withGraph(Graph other) {
    return new Traced(other, parameters);
  }
}
