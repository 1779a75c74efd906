package dev.weft.core.shard;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import java.util.List;

/**
 * A graph rewritten for the devices of a mesh: one program for all of them, on local tensors.
 *
 * @param graph the local program; its inputs and outputs stand in the order of the whole one's
 * @param inputs the layouts of the inputs
 * @param outputs the layouts of the outputs
 * @param propagation the spec of every value of the whole program
 * @param collectives every collective in it
 * @param remarks what could not be split, and why
 */
public record Partitioned(
    Graph graph,
    Mesh mesh,
    List<Layout> inputs,
    List<Layout> outputs,
    Propagation.Result propagation,
    List<CollectiveUse> collectives,
    List<String> remarks) {
  public Partitioned {
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
    collectives = List.copyOf(collectives);
    remarks = List.copyOf(remarks);
  }

  /** The bytes that a device sends in one run of the program, before collectives are merged. */
  public long bytesPerDevice() {
    return collectives.stream().mapToLong(CollectiveUse::totalBytes).sum();
  }
}
