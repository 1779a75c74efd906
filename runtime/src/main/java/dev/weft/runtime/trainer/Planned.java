package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Node;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.stage.CutCosts;
import dev.weft.nn.step.BalancedCut;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.StageCut;
import dev.weft.runtime.cluster.ClusterFile;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/** How a configuration's step is spread over devices. */
record Planned(TrainConfig config) {
  /** Over stages of this machine. */
  PipelinePlan here() {
    PipelinePlan plan = plainPlan();
    if (plan.pieces() == 1) {
      return plan;
    }
    int count = plan.stages() * plan.mesh().size();
    long memory = config.budget().count() / count;
    Optional<Cluster> measured = ClusterFile.measured();
    return measured.isPresent()
        ? by(
            plan,
            ClusterCosts.of(measured.get().withAtLeast(count), config.stages(), plan.mesh().size()),
            memory)
        : cut(plan, CutCosts.COUNTED::time, CutCosts.OPERATIONS_PER_BYTE, memory);
  }

  /** Over stages of a cluster. */
  PipelinePlan on(Cluster cluster) {
    PipelinePlan plan = plainPlan();
    return by(
        plan,
        ClusterCosts.of(cluster, config.stages(), plan.mesh().size()),
        cluster.device().memory().count());
  }

  private PipelinePlan by(PipelinePlan plan, ClusterCosts costs, long memory) {
    PipelinePlan costed = plan.withCosts(costs);
    // Devices of this process copy what they receive themselves; others compute meanwhile.
    boolean copies = plan.stages() > 1 && costs.cluster().name().equals(ClusterFile.LOCAL);
    double secondsPerByte = copies ? 1 / costs.link(0, 1).bytesPerSecond() : 0;
    return cut(costed, costs::seconds, secondsPerByte, memory);
  }

  private PipelinePlan cut(
      PipelinePlan plan, ToDoubleFunction<Node> seconds, double secondsPerByte, long memory) {
    return plan.withCut(
        config.cut().isEmpty()
            ? new BalancedCut(
                seconds, secondsPerByte, memory, config.optimizerRule().slots().size())
            : StageCut.before(config.scopes()));
  }

  private PipelinePlan plainPlan() {
    Schedule rule = Schedules.named(config.schedule());
    boolean isPlain = config.mesh().isEmpty() && (config.stages() > 1 || config.devices() <= 1);
    Mesh each = isPlain ? Mesh.SINGLE : config.resolvedMesh();
    if (config.devices() > 0 && config.devices() != config.stages() * each.size()) {
      throw new UserException(
          "--stages %d with a mesh of %d each stand for %d devices, --devices says %d: leave --devices out"
              .formatted(
                  config.stages(), each.size(), config.stages() * each.size(), config.devices()));
    }
    int pieces = config.chunks() == 0 ? rule.usualChunks() : config.chunks();
    var plan =
        new PipelinePlan(
            config.stages(),
            pieces,
            each,
            config.zero(),
            config.microBatches(),
            rule,
            Recompute.parse(config.recompute(), config.stages()),
            Recompute.timing(config.recomputeTiming()));
    if (plan.pieces() > 1 && !config.subPipeline().equals("0")) {
      throw new UserException(
          "sub-pipeline %s is not there for schedule %s, which cuts the model into %d pieces: take another schedule, or sub-pipeline 0"
              .formatted(config.subPipeline(), rule.name(), plan.pieces()));
    }
    int cores =
        config.threads() == 0 ? Runtime.getRuntime().availableProcessors() : config.threads();
    return plan.withHalves(Halves.parse(config.subPipeline(), cores));
  }
}
