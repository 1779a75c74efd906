package dev.weft.nn.step;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Footprint;
import dev.weft.core.program.Holding;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What training takes of the memory of one device: the only place where it is summed up, for all
 * that foretell it. A device books the same bytes when it runs.
 *
 * @param kept bytes that outlive a step: parameters, optimizer slots, accumulated gradients
 * @param flowing bytes of what a step makes and receives, for as many micro-batches as are under
 *     way at once
 * @param computing bytes that kernels need besides: scratch memory of the graph that needs most,
 *     constants of all graphs, and the results of the call that allocates most for itself
 * @param graph the name of the graph that needs most scratch memory
 * @param fullest the op in it at which most of that is in use; empty where none is needed
 */
public record TrainingMemory(
    long kept, long flowing, long computing, String graph, String fullest) {
  /** Tells what a compiled fragment takes. */
  @FunctionalInterface
  public interface Footprints {
    /**
     * What one fragment of a stage takes.
     *
     * @param program index into the step's programs
     * @param stage index into the program's stages
     * @param fragment index into the stage's fragments
     */
    Footprint of(int program, int stage, int fragment);
  }

  /**
   * Adds up.
   *
   * @param footprints of the step's fragments on the device
   */
  public static TrainingMemory of(PipelineStep step, int stage, Footprints footprints) {
    List<Program> programs = step.programs();
    List<StageProgram> own = programs.stream().map(p -> p.stages().get(stage)).toList();
    long kept = 0;
    long flowing = 0;
    for (Map.Entry<Holding, TensorType> entry : Holding.of(own).entrySet()) {
      long bytes = Bytes.pages(entry.getValue().bytes());
      if (entry.getKey().isKept()) {
        kept += bytes;
      } else {
        flowing += bytes;
      }
    }
    long scratch = 0;
    long constants = 0;
    long adopted = 0;
    String graph = "";
    String fullest = "";
    for (int program = 0; program < own.size(); program++) {
      // Each choice of slots that a fragment runs on has its constants for itself.
      Set<List<Object>> loaded = new HashSet<>();
      Set<List<Object>> seen = new HashSet<>();
      for (Step each : own.get(program).steps()) {
        if (!(each instanceof Step.Run run)
            || !seen.add(List.of(run.fragment(), run.slots()))
            || !loaded.add(List.of(run.fragment(), own.get(program).touched(run)))) {
          continue;
        }
        Footprint footprint = footprints.of(program, stage, run.fragment());
        constants += Bytes.pages(footprint.constants());
        adopted = Math.max(adopted, footprint.adopted());
        if (footprint.scratch() > scratch) {
          scratch = footprint.scratch();
          graph = own.get(program).fragments().get(run.fragment()).name();
          fullest = footprint.fullest();
        }
      }
    }
    return new TrainingMemory(
        kept, flowing, Bytes.pages(scratch) + constants + adopted, graph, fullest);
  }

  /** The most bytes that the device will hold at once. */
  public long bytes() {
    return kept + flowing + computing;
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
