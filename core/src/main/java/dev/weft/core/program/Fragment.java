package dev.weft.core.program;

import dev.weft.core.graph.Graph;
import java.util.List;

/**
 * A graph that a stage runs in one go, on all devices of its mesh.
 *
 * @param name unique in its stage
 * @param chunk which of the stage's pieces it belongs to
 * @param graph what each device computes, collectives explicit; an output with a donated input has
 *     that input's buffer
 * @param inputs the buffer of each input of the graph, as indices into the stage's buffers
 * @param outputs the buffer of each output
 */
public record Fragment(
    String name, Work work, int chunk, Graph graph, List<Integer> inputs, List<Integer> outputs) {
  public Fragment {
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
  }

  /** The same buffers for another graph. */
  public Fragment with(Graph other) {
    return new Fragment(name, work, chunk, other, inputs, outputs);
  }
}
