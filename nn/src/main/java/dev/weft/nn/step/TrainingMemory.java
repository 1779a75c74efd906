package dev.weft.nn.step;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.simulate.WorkingMemory;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.optimizer.Optimizer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What training takes of a device's memory, estimated without a device. */
public final class TrainingMemory {
  private TrainingMemory() {}

  /**
   * Bytes on one device: parameters, gradients, optimizer slots, a micro-batch, and what the
   * largest graph takes while it computes.
   *
   * @param data the types of a micro-batch by name
   * @param microBatches of a step
   */
  public static long ofOneDevice(
      StepGraphs graphs, Map<String, TensorType> data, Optimizer optimizer, int microBatches) {
    long bytes = data.values().stream().mapToLong(TensorType::bytes).sum();
    for (Parameter parameter : graphs.parameters()) {
      bytes += parameter.type().bytes() * (2 + optimizer.slots(parameter).size());
    }
    var run = new ArrayList<>(List.of(graphs.micro(), graphs.update(), graphs.evaluate()));
    if (microBatches > 1) {
      run.add(graphs.microNext());
    }
    return bytes + run.stream().mapToLong(WorkingMemory::of).max().orElse(0);
  }

  /** Bytes on each device of a stage: what the step's programs hold, and what computing takes. */
  public static long ofStage(PipelineStep step, int stage) {
    Map<String, Long> held = new HashMap<>();
    long working = 0;
    for (Program program : List.of(step.train(), step.norm(), step.update(), step.evaluate())) {
      StageProgram own = program.stages().get(stage);
      for (Buffer buffer : own.buffers()) {
        long bytes = buffer.local().bytes() * own.pools().get(buffer.pool()).slots();
        held.merge(buffer.name(), bytes, Math::max);
      }
      for (var fragment : own.fragments()) {
        Graph graph = fragment.graph();
        working = Math.max(working, WorkingMemory.of(graph));
      }
    }
    return working + held.values().stream().mapToLong(b -> b).sum();
  }

  /** The most micro-batches that have memory on a stage at once. */
  public static int live(PipelineStep step, int stage) {
    return step.train().stages().get(stage).pools().stream()
        .filter(pool -> !pool.kept())
        .mapToInt(Pool::slots)
        .max()
        .orElse(1);
  }
}
