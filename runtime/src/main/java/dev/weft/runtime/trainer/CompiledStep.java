package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.stage.Recomputation;
import dev.weft.engine.program.Routes;
import dev.weft.nn.step.Fitting;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.PipelineStep;
import dev.weft.nn.step.TrainingMemory;
import dev.weft.runtime.worker.Compilation;
import dev.weft.runtime.worker.CompiledProgram;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * A training step whose graphs are compiled for its devices. What it will hold of their memory is
 * known; nothing is allocated yet.
 *
 * @param memory by stage and device; of each stage only the first device where only for that one
 *     was compiled
 */
public record CompiledStep(
    PipelineStep step, List<CompiledProgram> programs, List<List<TrainingMemory>> memory) {
  public CompiledStep {
    programs = List.copyOf(programs);
    memory = memory.stream().map(List::copyOf).toList();
  }

  /**
   * A configuration's step; recomputation that is to fit memory is fitted to it.
   *
   * @param available memory of each device
   * @throws dev.weft.core.cluster.UserException if the model cannot be cut so, the schedule cannot
   *     run so, or the model's annotations do not know an axis of the mesh
   */
  public static CompiledStep of(
      TrainConfig config, PipelinePlan plan, Compilation compilation, Bytes available) {
    Session.Spec spec = Session.spec(config);
    if (!config.recompute().equals(Recompute.AUTO)) {
      return of(spec, plan, compilation);
    }
    if (plan.pieces() == 1) {
      PipelinePlan all = plan.withRecomputation(_ -> new Recomputation.None());
      CompiledStep whole = of(spec, all, compilation);
      if (whole.fits(available)) {
        return whole;
      }
    }
    CompiledStep full = of(spec, plan, compilation);
    if (!full.fits(available)) {
      return full;
    }
    return Fitting.fitted(
            plan,
            full.step(),
            full.needed(),
            available.count(),
            kept -> Optional.of(of(spec, kept, compilation)).filter(s -> s.fits(available)))
        .orElse(full);
  }

  /** A plan's step. */
  static CompiledStep of(Session.Spec spec, PipelinePlan plan, Compilation compilation) {
    PipelineStep step =
        PipelineStep.of(
            spec.model(), spec.data(), spec.parameterType(), spec.optimizer(), spec.clip(), plan);
    List<CompiledProgram> programs = step.programs().stream().map(compilation::of).toList();
    int devices = compilation.each() ? plan.mesh().size() : 1;
    var memory = new ArrayList<List<TrainingMemory>>();
    for (int stage = 0; stage < plan.stages(); stage++) {
      var own = new ArrayList<TrainingMemory>();
      for (int number = 0; number < devices; number++) {
        int device = number;
        own.add(
            TrainingMemory.of(
                step,
                stage,
                (program, at, fragment) ->
                    programs.get(program).stages().get(at).footprint(fragment, device)));
      }
      memory.add(own);
    }
    return new CompiledStep(step, programs, memory);
  }

  /**
   * A configuration's step on this machine, compiled for one device of each stage to foretell what
   * it needs.
   *
   * @param routes chooses how ops are computed; measures nothing
   */
  public static CompiledStep foretold(TrainConfig config, Routes routes) {
    PipelinePlan plan = config.pipelinePlan();
    Bytes available = each(config.budget(), plan);
    // What is not cut takes as much for three micro-batches as for more: a first, a last, and one
    // between.
    boolean isWhole = plan.pieces() == 1 && config.recompute().equals(Recompute.NONE);
    PipelinePlan shorter = isWhole ? plan.withMicroBatches(Math.min(plan.microBatches(), 3)) : plan;
    return of(config, shorter, compilation(config, plan, routes, false), available);
  }

  /** The part of the memory of all devices of a plan that each has. */
  static Bytes each(Bytes all, PipelinePlan plan) {
    return Bytes.of(all.count() / ((long) plan.stages() * plan.mesh().size()));
  }

  /**
   * How a configuration's programs are compiled.
   *
   * @param each whether for every device; else for one of each stage
   */
  public static Compilation compilation(
      TrainConfig config, PipelinePlan plan, Routes routes, boolean each) {
    return new Compilation(
        DeviceKind.CPU,
        Math.max(1, config.cores() / (plan.stages() * plan.mesh().size())),
        routes,
        config.bucket(),
        each);
  }

  /** What each stage needs of those of its devices that need most, in bytes. */
  public long[] needed() {
    return memory.stream()
        .mapToLong(own -> own.stream().mapToLong(TrainingMemory::bytes).max().orElse(0))
        .toArray();
  }

  /** Whether devices of so much memory hold it. */
  public boolean fits(Bytes available) {
    return misfits(available).isEmpty();
  }

  private List<Integer> misfits(Bytes available) {
    long[] needed = needed();
    return IntStream.range(0, needed.length)
        .filter(stage -> needed[stage] > available.count())
        .boxed()
        .toList();
  }

  /** Whether what outlives a step fits; where it does not, no other way to run a step helps. */
  public boolean keepsLess(Bytes available) {
    return memory.stream()
        .flatMap(List::stream)
        .allMatch(device -> device.kept() <= available.count());
  }

  /**
   * Which stage does not fit devices of so much memory, by how much, and what takes it: of several
   * the one that needs most. Empty if all fit.
   */
  public Optional<String> misfit(Bytes available) {
    List<Integer> misfits = misfits(available);
    if (misfits.isEmpty()) {
      return Optional.empty();
    }
    long[] needed = needed();
    int worst = misfits.getFirst();
    for (int stage : misfits) {
      worst = needed[stage] > needed[worst] ? stage : worst;
    }
    TrainingMemory most = memory.get(worst).getFirst();
    for (TrainingMemory device : memory.get(worst)) {
      most = device.bytes() > most.bytes() ? device : most;
    }
    String fullest =
        most.fullest().isEmpty()
            ? ""
            : ", in graph %s fullest at %s,".formatted(most.graph(), most.fullest());
    int named = worst;
    String others =
        misfits.stream()
            .filter(stage -> stage != named)
            .map(String::valueOf)
            .collect(Collectors.joining(", "));
    others = others.isEmpty() ? "" : " Nor do stages " + others + " fit.";
    return Optional.of(
        "stage %d of %d does not fit: each of its devices has %s (%d bytes) of memory and needs %s (%d bytes), %s too much. It keeps %s between steps, a step's values take %s, and computing%s needs %s (%d bytes).%s"
            .formatted(
                worst,
                needed.length,
                available,
                available.count(),
                Bytes.of(most.bytes()),
                most.bytes(),
                Bytes.of(most.bytes() - available.count()),
                Bytes.of(most.kept()),
                Bytes.of(most.flowing()),
                fullest,
                Bytes.of(most.computing()),
                most.computing(),
                others));
  }
}
