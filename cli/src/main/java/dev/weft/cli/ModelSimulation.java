package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.UserException;
import dev.weft.core.overlap.Level;
import dev.weft.core.program.Timeline;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.nn.step.Fitting;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.PipelineStep;
import dev.weft.nn.step.SubPipelining;
import dev.weft.nn.step.TrainingMemory;
import dev.weft.runtime.trainer.Recompute;
import dev.weft.runtime.trainer.Session;
import dev.weft.runtime.trainer.TrainConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** A training step of a model on a cluster, traced and cut but never allocated. */
record ModelSimulation(
    TrainConfig config,
    PipelinePlan plan,
    Cluster cluster,
    Simulation found,
    long[] needed,
    List<String> remarks) {
  /**
   * Simulates.
   *
   * @throws dev.weft.core.cluster.UserException if the model cannot be cut so, the schedule cannot
   *     run so, the cluster has too few devices, or recomputation shall be fitted to a memory that
   *     is too small for a stage whatever is made again
   */
  static ModelSimulation of(TrainConfig config, Cluster cluster) {
    Session.Spec spec = Session.spec(config);
    PipelinePlan plan = config.pipelinePlan(cluster);
    long memory = cluster.device().memory().count();
    PipelineStep step = fitted(config, spec, plan, memory);
    long[] needed = TrainingMemory.ofStages(step);
    var remarks = new ArrayList<>(step.remarks());
    Optional<String> misfit = TrainingMemory.misfit(needed, memory);
    if (misfit.isPresent() && config.recompute().equals(Recompute.AUTO)) {
      throw new UserException(misfit.get());
    }
    misfit.ifPresent(remarks::add);
    Simulation found = Simulator.simulate(step.train(), plan.costs());
    if (step.halves() != Level.OFF) {
      PipelineStep whole = fitted(config, spec, plan.withHalves(SubPipelining.OFF), memory);
      double seconds = Simulator.simulate(whole.train(), plan.costs()).makespan();
      remarks.add(gain(step.halves(), found.makespan(), seconds));
    }
    return new ModelSimulation(config, plan, cluster, found, needed, List.copyOf(remarks));
  }

  /** The step with as much kept as the memory allows, if that is asked for. */
  private static PipelineStep fitted(
      TrainConfig config, Session.Spec spec, PipelinePlan plan, long memory) {
    PipelineStep step = step(spec, plan);
    if (!config.recompute().equals(Recompute.AUTO)) {
      return step;
    }
    return Fitting.fitted(
            plan,
            step,
            TrainingMemory.ofStages(step),
            memory,
            kept ->
                Optional.of(step(spec, kept))
                    .filter(
                        s -> TrainingMemory.misfit(TrainingMemory.ofStages(s), memory).isEmpty()))
        .orElse(step);
  }

  private static String gain(Level level, double halves, double whole) {
    return String.format(
        Locale.ROOT,
        "with sub-pipeline %d (%s) a step takes %.4g s, without it %.4g s",
        level.ordinal(),
        level.meaning(),
        halves,
        whole);
  }

  private static PipelineStep step(Session.Spec spec, PipelinePlan plan) {
    return PipelineStep.of(
        spec.model(), spec.data(), spec.parameterType(), spec.optimizer(), spec.clip(), plan);
  }

  String title() {
    return "%s on %s, %s, %d stages, %d micro-batches"
        .formatted(
            config.name(), cluster.name(), config.schedule(), plan.stages(), plan.microBatches());
  }

  Timeline timeline() {
    return found.timeline(title());
  }

  /** The bytes that each device of a stage needs. */
  private long bytes(Simulation.StageUse use) {
    return needed[use.stage()];
  }

  String json() {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("model", config.name());
    tree.put("cluster", cluster.name());
    tree.put("devices", plan.stages() * plan.mesh().size());
    tree.put("schedule", config.schedule());
    tree.put("stages", plan.stages());
    tree.put("micro_batches", plan.microBatches());
    tree.put("chunks", plan.chunks());
    tree.put("seconds", found.makespan());
    tree.put("bubble", found.bubble());
    ArrayNode stages = tree.putArray("per_stage");
    for (Simulation.StageUse use : found.stages()) {
      stages
          .addObject()
          .put("busy_seconds", use.busy())
          .put("exposed_seconds", use.exposed())
          .put("peak_live", use.peakLive())
          .put("bytes_per_device", bytes(use))
          .put("fits", bytes(use) <= cluster.device().memory().count());
    }
    ArrayNode said = tree.putArray("remarks");
    remarks.forEach(said::add);
    ArrayNode links = tree.putArray("links");
    for (Simulation.LinkUse use : found.links()) {
      links.addObject().put("from", use.from()).put("to", use.to()).put("bytes", use.bytes());
    }
    return tree.toString();
  }

  String text() {
    var text = new StringBuilder(title()).append('\n');
    text.append(
        String.format(
            Locale.ROOT,
            "a step takes %.4g s, bubble %.2f %%%n%n stage      busy s   exposed s  live  memory%n",
            found.makespan(),
            100 * found.bubble()));
    List<Simulation.StageUse> uses = found.stages();
    for (Simulation.StageUse use : uses) {
      boolean fits = bytes(use) <= cluster.device().memory().count();
      text.append(
          String.format(
              Locale.ROOT,
              "%6d %11.4g %11.4g %5d  %s%s%n",
              use.stage(),
              use.busy(),
              use.exposed(),
              use.peakLive(),
              Bytes.of(bytes(use)),
              fits ? "" : ", more than the " + cluster.device().memory() + " of a device"));
    }
    return text.append(
            "Memory is what parameters, gradients, optimizer slots, values under way and computing"
                + " take, estimated.\n")
        .toString();
  }
}
