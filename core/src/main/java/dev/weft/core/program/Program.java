package dev.weft.core.program;

import dev.weft.core.graph.Graph;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * What all devices do, from the first micro-batch of a step to the last: executed by workers, timed
 * by the simulator.
 *
 * @param name {@code train}, {@code update}, {@code evaluate}
 */
public record Program(String name, int microBatches, List<StageProgram> stages) {
  public Program {
    stages = List.copyOf(stages);
  }

  /** What a pass that keeps inputs and outputs makes of the graphs. */
  public Program map(UnaryOperator<Graph> pass) {
    return new Program(name, microBatches, stages.stream().map(stage -> stage.map(pass)).toList());
  }
}
