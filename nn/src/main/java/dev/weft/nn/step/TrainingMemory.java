package dev.weft.nn.step;

import dev.weft.core.cluster.Bytes;
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
import java.util.Optional;
import java.util.stream.IntStream;

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

  /**
   * Which stage does not fit its devices, by how much, and what would make it fit; empty where all
   * fit.
   *
   * @param needed of each stage by each of its devices, in bytes
   * @param memory of a device, in bytes
   */
  public static Optional<String> misfit(long[] needed, long memory) {
    int worst = 0;
    for (int stage = 1; stage < needed.length; stage++) {
      worst = needed[stage] > needed[worst] ? stage : worst;
    }
    return needed[worst] <= memory
        ? Optional.empty()
        : Optional.of(
            "stage %d of %d does not fit: each of its devices has %s and needs about %s, %s too much; take more --stages or --micro-batches, --recompute full or auto, a larger --mesh, --zero 3, or a smaller model or batch"
                .formatted(
                    worst,
                    needed.length,
                    Bytes.of(memory),
                    Bytes.of(needed[worst]),
                    Bytes.of(needed[worst] - memory)));
  }

  /** What each stage needs of each of its devices; see {@link #ofStage}. */
  public static long[] ofStages(PipelineStep step) {
    return IntStream.range(0, step.train().stages().size())
        .mapToLong(stage -> ofStage(step, stage))
        .toArray();
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
