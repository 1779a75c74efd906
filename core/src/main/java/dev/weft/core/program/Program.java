package dev.weft.core.program;

import java.util.List;

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
}
