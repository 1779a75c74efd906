package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.program.Timeline;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.PipelineStep;
import dev.weft.runtime.trainer.Session;
import dev.weft.runtime.trainer.TrainConfig;
import java.util.List;
import java.util.Locale;

/** A training step of a model on a cluster, traced and cut but never allocated. */
record ModelSimulation(
    TrainConfig config,
    PipelinePlan plan,
    Cluster cluster,
    Simulation found,
    List<String> remarks) {
  /**
   * Simulates.
   *
   * @throws dev.weft.core.cluster.UserException if the model cannot be cut so, the schedule cannot
   *     run so, or the cluster has too few devices
   */
  static ModelSimulation of(TrainConfig config, Cluster cluster) {
    Session.Spec spec = Session.spec(config);
    PipelinePlan asked = config.pipelinePlan();
    var costs = ClusterCosts.of(cluster, asked.stages(), asked.mesh().size());
    PipelinePlan plan = asked.withCosts(costs);
    PipelineStep step =
        PipelineStep.of(
            spec.model(), spec.data(), spec.parameterType(), spec.optimizer(), spec.clip(), plan);
    return new ModelSimulation(
        config, plan, cluster, Simulator.simulate(step.train(), costs), step.remarks());
  }

  String title() {
    return "%s on %s, %s, %d stages, %d micro-batches"
        .formatted(
            config.name(), cluster.name(), config.schedule(), plan.stages(), plan.microBatches());
  }

  Timeline timeline() {
    return found.timeline(title());
  }

  /** The most bytes that a device of a stage holds at once. */
  private long bytes(Simulation.StageUse use) {
    return found.memory(use.stage()).stream().mapToLong(Timeline.Level::bytes).max().orElse(0);
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
            "Memory is what buffers hold, optimizer slots and what computing takes for itself not"
                + " included.\n")
        .toString();
  }
}
