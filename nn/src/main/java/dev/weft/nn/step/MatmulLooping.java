package dev.weft.nn.step;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import java.util.List;
import java.util.Optional;

/** Chooses whether collectives beside products are looped. */
@FunctionalInterface
public interface MatmulLooping {
  /** Every collective in one. */
  MatmulLooping OFF = (_, _) -> new Chosen(false, Optional.empty());

  /** Whatever can be looped. */
  MatmulLooping ON = (_, _) -> new Chosen(true, Optional.empty());

  /**
   * A choice.
   *
   * @param remark what to tell the user of it
   */
  record Chosen(boolean loops, Optional<String> remark) {}

  /**
   * What is chosen for micro-batches on a mesh.
   *
   * @param graphs what a device runs
   */
  Chosen choose(List<Graph> graphs, Mesh mesh);
}
