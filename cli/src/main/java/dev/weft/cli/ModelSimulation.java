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
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.SubPipelining;
import dev.weft.runtime.cluster.ClusterFile;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.trainer.CompiledStep;
import dev.weft.runtime.trainer.Mends;
import dev.weft.runtime.trainer.Recompute;
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
    PipelinePlan plan = config.pipelinePlan(cluster);
    Bytes memory = cluster.device().memory();
    CompiledStep compiled = compiled(config, plan, cluster);
    var remarks = new ArrayList<>(compiled.step().remarks());
    Optional<String> misfit = compiled.misfit(memory);
    if (misfit.isPresent() && config.recompute().equals(Recompute.AUTO)) {
      String mends =
          Mends.of(
              config,
              compiled.keepsLess(memory),
              changed -> compiled(changed, changed.pipelinePlan(cluster), cluster).fits(memory),
              List.of());
      throw new UserException(misfit.get() + " " + mends);
    }
    misfit.ifPresent(m -> remarks.add(m + " It is simulated as if it did."));
    Simulation found = Simulator.simulate(compiled.step().train(), plan.costs());
    Level halves = compiled.step().halves();
    if (halves != Level.OFF) {
      CompiledStep whole = compiled(config, plan.withHalves(SubPipelining.OFF), cluster);
      double seconds = Simulator.simulate(whole.step().train(), plan.costs()).makespan();
      remarks.add(gain(halves, found.makespan(), seconds));
    }
    return new ModelSimulation(
        config, plan, cluster, found, compiled.needed(), List.copyOf(remarks));
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

  private static CompiledStep compiled(TrainConfig config, PipelinePlan plan, Cluster cluster) {
    // What computes narrow types as they are is known of this machine only.
    Routes routes =
        cluster.name().equals(ClusterFile.LOCAL)
            ? Machine.rememberedRoutes()
            : Routes.always(Route.DIRECT);
    return CompiledStep.of(
        config,
        plan,
        CompiledStep.compilation(config, plan, routes, false),
        cluster.device().memory());
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
                + " take of each device, as the library's kernels on a processor need it.\n")
        .toString();
  }
}
