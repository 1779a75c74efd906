package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.Bucketing;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Hoisting;
import dev.weft.core.collective.RingShift;
import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.overlap.Level;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.CostModel;
import dev.weft.core.simulate.Exposure;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.optimizer.Optimizer;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Models whose collectives are looped beside products, against the same in one. */
class CollectiveMatmulTest {
  private static final Optimizer ADAMW = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);

  private static StepGraphs graphs(String model, int batch) {
    var size = new ModelConfig(2, 8, 2, 4, 10, 0.2);
    return model.equals("gpt")
        ? StepGraphs.of(new Gpt(), size, batch, DataType.F64, ADAMW, 0)
        : StepGraphs.of(new Moe(), size, batch, DataType.F64, ADAMW, 0);
  }

  @ParameterizedTest(name = "{0} on {1}, ZeRO {2}, {3} micro-batches")
  @CsvSource({
    "gpt, model=2, 0, 1",
    "gpt, model=3, 0, 1",
    "gpt, data=2, 3, 2",
    "gpt, data=3, 3, 1",
    "gpt, 'data=2,model=2', 3, 2",
    "gpt, 'sequence=2', 0, 1",
    "gpt, 'data=2,sequence=2,model=2', 2, 1",
    "moe, 'expert=2,model=2', 0, 1",
  })
  void equalsTheWhole(String model, String axes, int zero, int microBatches) {
    Mesh mesh = Mesh.parse(axes);
    ShardedStep plain = ShardedStep.of(graphs(model, 6), mesh, zero, microBatches);
    ShardedStep looped = plain.looped();
    assertTrue(shifts(looped) > 0);
    for (int pass = 0; pass < plain.passes().size(); pass++) {
      SamePass.check(
          "looped",
          plain.passes().get(pass).half().program(),
          plain.passes().get(pass).half().partitioned(),
          looped.passes().get(pass).half().partitioned());
    }
  }

  /** Halves send what has rows, loops what is gathered for products whatever their rows. */
  @ParameterizedTest(name = "level {0} on {1}, ZeRO {2}")
  @CsvSource({
    "LINEAR, 'data=2,model=2', 3",
    "BLOCK, 'data=2,model=2', 3",
    "STACK, 'data=2,model=2', 3",
    "LINEAR, model=2, 0",
    "STACK, model=3, 0",
  })
  void whatHalvesLeaveIsLooped(Level level, String axes, int zero) {
    ShardedStep plain = ShardedStep.of(graphs("gpt", 6), Mesh.parse(axes), zero, 2);
    ShardedStep halves = plain.inHalves(level);
    ShardedStep both = halves.looped();
    assertEquals(halved(halves), halved(both));
    assertTrue(zero < 3 || shifts(both) > 0);
    for (int pass = 0; pass < plain.passes().size(); pass++) {
      SamePass.check(
          "looped",
          plain.passes().get(pass).half().program(),
          plain.passes().get(pass).half().partitioned(),
          both.passes().get(pass).half().partitioned());
    }
  }

  private static long halved(ShardedStep step) {
    return step.explanation().collectives().stream()
        .filter(use -> use.reason().contains(", in halves"))
        .mapToLong(CollectiveUse::count)
        .sum();
  }

  private static long shifts(ShardedStep step) {
    return step.explanation().collectives().stream()
        .filter(use -> use.op() instanceof RingShift)
        .mapToLong(CollectiveUse::count)
        .sum();
  }

  /** Two sums of activations per block each way: each is a loop and an all-gather. */
  @Test
  void everySumOfActivationsIsLooped() {
    var config = new ModelConfig(2, 64, 4, 16, 32, 0);
    StepGraphs wide = StepGraphs.of(new Gpt(), config, 2, DataType.F32, ADAMW, 1);
    ShardedStep plain = ShardedStep.of(wide, Mesh.parse("model=2"), 0, 1);
    ShardedStep looped = plain.looped();
    assertEquals(8, count(plain, Collective.Kind.ALL_REDUCE, 2 * 16 * 64));
    assertEquals(0, count(looped, Collective.Kind.ALL_REDUCE, 2 * 16 * 64));
    assertEquals(8, count(looped, Collective.Kind.PERMUTE, 16 * 64));
    assertEquals(8, count(looped, Collective.Kind.ALL_GATHER, 16 * 64));
    assertEquals(plain.explanation().bytesPerDevice(), looped.explanation().bytesPerDevice());
  }

  /** In rounds, by the elements that go in. */
  private static long count(ShardedStep step, Collective.Kind kind, long elements) {
    return step.explanation().collectives().stream()
        .filter(use -> use.op().kind() == kind && use.count() >= 2)
        .filter(use -> use.local().elements() == elements)
        .mapToLong(CollectiveUse::count)
        .sum();
  }

  /** The weights of a layer are gathered tile by tile beside the products that they are for. */
  @Test
  void gatheredWeightsAreLooped() {
    var config = new ModelConfig(2, 64, 4, 16, 32, 0);
    StepGraphs graphs = StepGraphs.of(new Gpt(), config, 8, DataType.F32, ADAMW, 1);
    ShardedStep plain = ShardedStep.of(graphs, Mesh.parse("data=4"), 3, 1);
    ShardedStep looped = plain.looped();
    // Four weights of a layer, forward and backward, in two rounds and three permutes each.
    assertEquals(4 * 2 * 2 * 3, shifts(looped));
    assertEquals(plain.explanation().bytesPerDevice(), looped.explanation().bytesPerDevice());
    assertTrue(
        looped.explanation().collectives().stream()
            .filter(use -> use.op().kind() == Collective.Kind.ALL_GATHER)
            .filter(use -> use.role() == dev.weft.core.graph.Role.FORWARD)
            .allMatch(use -> use.reason().contains("; not looped: ")));
  }

  /** Where devices compute as fast as they send, less is exposed. */
  @ParameterizedTest
  @CsvSource({"model=4, 0, 0.8", "data=4, 3, 0.9"})
  void lessIsExposed(String axes, int zero, double share) {
    var config = new ModelConfig(4, 512, 8, 128, 256, 0);
    StepGraphs graphs = StepGraphs.of(new Gpt(), config, 8, DataType.F32, ADAMW, 1);
    Mesh mesh = Mesh.parse(axes);
    ShardedStep plain = ShardedStep.of(graphs, mesh, zero, 1);
    CostModel.Duration whole = duration(plain, mesh);
    CostModel.Duration looped = duration(plain.looped(), mesh);
    assertTrue(looped.communication() < share * whole.communication(), whole + " " + looped);
    assertTrue(looped.time() < whole.time(), whole + " " + looped);
  }

  /** Gathered weights in loops expose less beside rows in halves, too. */
  @ParameterizedTest
  @EnumSource(names = {"LINEAR", "BLOCK", "STACK"})
  void lessIsExposedBesideHalves(Level level) {
    var config = new ModelConfig(4, 512, 8, 128, 256, 0);
    StepGraphs graphs = StepGraphs.of(new Gpt(), config, 8, DataType.F32, ADAMW, 1);
    Mesh mesh = Mesh.parse("data=2,model=2");
    ShardedStep halves = ShardedStep.of(graphs, mesh, 3, 1).inHalves(level);
    CostModel.Duration whole = duration(halves, mesh);
    CostModel.Duration looped = duration(halves.looped(), mesh);
    assertTrue(looped.communication() < 0.85 * whole.communication(), whole + " " + looped);
    // Copies of tiles take about what is saved.
    assertTrue(looped.time() < 1.005 * whole.time(), whole + " " + looped);
  }

  private static CostModel.Duration duration(ShardedStep step, Mesh mesh) {
    var device = new DeviceProfile(Bytes.of(1L << 34), Map.of("f32", 4e12), 1e12, 1e-6, Map.of());
    var link = new Link(1e-6, 2e10);
    var costs = new ClusterCosts(new Cluster("four", 1, 4, device, link, link, true), 4);
    Graph graph = step.passes().getFirst().half().partitioned().graph();
    Graph run = Bucketing.apply(Hoisting.apply(Optimize.optimize(graph)), Bytes.of(4L << 20));
    return Exposure.of(run, mesh, costs, 0);
  }
}
