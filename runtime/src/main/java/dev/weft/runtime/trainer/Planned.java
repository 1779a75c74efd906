package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Node;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.CostModel;
import dev.weft.core.simulate.CountedCosts;
import dev.weft.core.stage.CutCosts;
import dev.weft.nn.step.BalancedCut;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.StageCut;
import dev.weft.nn.step.SubPipelining;
import dev.weft.runtime.cluster.ClusterFile;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/** How a configuration's step is spread over devices. */
record Planned(TrainConfig config) {
  /** Over stages of this machine. */
  PipelinePlan here() {
    if (pieces() == 1) {
      return plan(StageCut.COUNTED, new CountedCosts(), halvesHere());
    }
    Mesh mesh = mesh();
    int devices = config.stages() * mesh.size();
    long memory = config.budget().count() / devices;
    Optional<Cluster> measured = ClusterFile.measured();
    return measured.isPresent()
        ? by(
            ClusterCosts.of(measured.get().withAtLeast(devices), config.stages(), mesh.size()),
            memory,
            halvesHere())
        : plan(
            cut(CutCosts.COUNTED::time, CutCosts.OPERATIONS_PER_BYTE, memory),
            new CountedCosts(),
            halvesHere());
  }

  /** Over stages of a cluster. */
  PipelinePlan on(Cluster cluster) {
    ClusterCosts costs = ClusterCosts.of(cluster, config.stages(), mesh().size());
    return by(costs, cluster.device().memory().count(), Halves.on(config.subPipeline(), costs));
  }

  private PipelinePlan by(ClusterCosts costs, long memory, SubPipelining halves) {
    // Devices of this process copy what they receive themselves; others compute meanwhile.
    boolean copies = config.stages() > 1 && !costs.cluster().overlaps();
    double secondsPerByte = copies ? 1 / costs.link(0, 1).bytesPerSecond() : 0;
    return plan(cut(costs::seconds, secondsPerByte, memory), costs, halves);
  }

  private StageCut cut(ToDoubleFunction<Node> seconds, double secondsPerByte, long memory) {
    return config.cut().isEmpty()
        ? new BalancedCut(seconds, secondsPerByte, memory, config.optimizerRule().slots().size())
        : StageCut.before(config.scopes());
  }

  private Schedule schedule() {
    return Schedules.named(config.schedule());
  }

  private int chunks() {
    return config.chunks() == 0 ? schedule().usualChunks() : config.chunks();
  }

  private int pieces() {
    return config.stages() * chunks();
  }

  /** Of each stage's devices. */
  private Mesh mesh() {
    boolean isPlain = config.mesh().isEmpty() && (config.stages() > 1 || config.devices() <= 1);
    Mesh each = isPlain ? Mesh.SINGLE : config.resolvedMesh();
    if (config.devices() > 0 && config.devices() != config.stages() * each.size()) {
      throw new UserException(
          "--stages %d with a mesh of %d each stand for %d devices, --devices says %d: leave --devices out"
              .formatted(
                  config.stages(), each.size(), config.stages() * each.size(), config.devices()));
    }
    return each;
  }

  private SubPipelining halvesHere() {
    return Halves.embedded(config.subPipeline(), config.cores(), config.stages(), mesh().size());
  }

  private PipelinePlan plan(StageCut cut, CostModel costs, SubPipelining halves) {
    return new PipelinePlan(
        config.stages(),
        chunks(),
        mesh(),
        config.zero(),
        config.microBatches(),
        schedule(),
        Recompute.parse(config.recompute(), config.stages()),
        Recompute.timing(config.recomputeTiming()),
        cut,
        costs,
        halves,
        Loops.parse(config.collectiveMatmul(), config.cores()));
  }
}
