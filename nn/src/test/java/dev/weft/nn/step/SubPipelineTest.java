package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Bucketing;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Hoisting;
import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.overlap.Level;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.CostModel;
import dev.weft.core.simulate.Exposure;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.model.Resnet;
import dev.weft.nn.model.Unet;
import dev.weft.nn.optimizer.Optimizer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Models whose micro-batches run in halves, against the same on whole ones. */
class SubPipelineTest {
  private static final Optimizer ADAMW = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);

  private static StepGraphs graphs(String model, int batch) {
    var size = new ModelConfig(2, 8, 2, 4, 10, 0.2);
    return switch (model) {
      case "gpt" -> StepGraphs.of(new Gpt(), size, batch, DataType.F64, ADAMW, 0);
      case "moe" -> StepGraphs.of(new Moe(), size, batch, DataType.F64, ADAMW, 0);
      case "unet" -> {
        var unet = new Unet(2, 1, 3);
        yield StepGraphs.of(
            (m, data) -> unet.loss(m, images(data), labels(data)),
            images(batch, TensorType.of(DataType.I64, batch, 4, 4)),
            DataType.F64,
            ADAMW,
            0);
      }
      default -> {
        var resnet = new Resnet(2, 2, 3);
        yield StepGraphs.of(
            (m, data) -> resnet.loss(m, images(data), labels(data)),
            images(batch, TensorType.of(DataType.I64, batch)),
            DataType.F64,
            ADAMW,
            0);
      }
    };
  }

  private static Map<String, TensorType> images(int batch, TensorType labels) {
    var data = new LinkedHashMap<String, TensorType>();
    data.put("images", TensorType.of(DataType.F64, batch, 3, 4, 4));
    data.put("labels", labels);
    return data;
  }

  private static dev.weft.core.op.Tensor images(Map<String, dev.weft.core.op.Tensor> data) {
    return Objects.requireNonNull(data.get("images"));
  }

  private static dev.weft.core.op.Tensor labels(Map<String, dev.weft.core.op.Tensor> data) {
    return Objects.requireNonNull(data.get("labels"));
  }

  @ParameterizedTest(name = "{0} on {1}, {2} rows, {3} micro-batches")
  @CsvSource({
    "gpt, model=2, 4, 1",
    "gpt, model=2, 3, 3",
    "gpt, 'data=2,model=2', 6, 2",
    "gpt, 'sequence=2', 2, 1",
    "gpt, 'data=2,sequence=2,model=2', 8, 1",
    "moe, 'data=2,model=2', 4, 2",
    "moe, expert=2, 6, 1",
    "moe, 'data=2,expert=2', 12, 2",
    "unet, space=2, 3, 1",
    "resnet, space=2, 4, 1",
  })
  void equalsTheWhole(String model, String axes, int batch, int microBatches) {
    Mesh mesh = Mesh.parse(axes);
    ShardedStep plain = ShardedStep.of(graphs(model, batch), mesh, 0, microBatches);
    for (int number = 1; number <= 3; number++) {
      Level level = Level.values()[number];
      ShardedStep halves = plain.inHalves(level);
      for (int pass = 0; pass < plain.passes().size(); pass++) {
        Partitioned whole = plain.passes().get(pass).half().partitioned();
        Partitioned cut = halves.passes().get(pass).half().partitioned();
        if (level != Level.LINEAR || model.equals("gpt")) {
          assertNotSame(whole.graph(), cut.graph(), level::toString);
        }
        assertEquals(sum(whole), sum(cut), level + ": bytes sent");
        SamePass.check(level.toString(), plain.passes().get(pass).half().program(), whole, cut);
      }
    }
  }

  /** Gradients of the halves are added up before they are reduced, so no byte is sent twice. */
  private static long sum(Partitioned partitioned) {
    return partitioned.bytesPerDevice();
  }

  /** Where experts are split half of every device's sequences go to them while others compute. */
  @Property(tries = 10)
  void mixturesEqualTheWhole(@ForAll long seed) {
    mixture(seed);
  }

  @Property(tries = 400)
  @Tag("nightly")
  void mixturesEqualTheWholeMoreOften(@ForAll long seed) {
    mixture(seed);
  }

  private static void mixture(long seed) {
    var random = new Random(seed);
    String[] axes = {
      "expert=2", "expert=3", "data=2,expert=2", "expert=2,model=2", "expert=2,sequence=2"
    };
    Mesh mesh = Mesh.parse(axes[random.nextInt(axes.length)]);
    int groups = mesh.size("data") * mesh.size("expert");
    int microBatches = 1 + random.nextInt(2);
    int rows = groups * (2 + random.nextInt(2));
    int every = 1 + random.nextInt(2);
    boolean single = random.nextBoolean();
    var experts = new Experts(2 + random.nextInt(4), 0.7 + random.nextDouble(), 0.5, every);
    var size =
        new ModelConfig(
            every * (1 + random.nextInt(2)),
            2 * (1 + random.nextInt(3)),
            2,
            2 + random.nextInt(4),
            5 + random.nextInt(4),
            random.nextBoolean() ? 0.2 : 0,
            1 + random.nextInt(3),
            experts);
    int zero = mesh.axis("data").isPresent() ? random.nextInt(4) : 0;
    DataType dtype = single ? DataType.F32 : DataType.F64;
    StepGraphs graphs = StepGraphs.of(new Moe(), size, rows, dtype, ADAMW, 0);
    ShardedStep plain = ShardedStep.of(graphs, mesh, zero, microBatches);
    Level level = Level.values()[1 + random.nextInt(3)];
    ShardedStep halves = plain.inHalves(level);
    String tried = "%s of %s, %d rows on %s, ZeRO %d".formatted(level, size, rows, mesh, zero);
    assertTrue(exchanges(plain) > 0, tried);
    // Not all that is exchanged is what a product has made.
    if (level == Level.LINEAR) {
      assertTrue(exchanges(plain) < exchanges(halves), tried);
    } else {
      assertEquals(2 * exchanges(plain), exchanges(halves), tried);
    }
    for (int pass = 0; pass < plain.passes().size(); pass++) {
      ShardedStep.Half half = plain.passes().get(pass).half();
      Partitioned cut = halves.passes().get(pass).half().partitioned();
      // Each is rounded to whole bytes.
      assertEquals(sum(half.partitioned()), sum(cut), cut.collectives().size(), tried);
      SamePass.check(tried, half.program(), half.partitioned(), cut);
    }
  }

  private static long exchanges(ShardedStep step) {
    return step.explanation().collectives().stream()
        .filter(use -> use.op().kind() == Collective.Kind.ALL_TO_ALL)
        .mapToLong(CollectiveUse::count)
        .sum();
  }

  /** Every device's sequences are as many as those of others, or their exchange stays whole. */
  @Test
  void unevenSequencesAreExchangedWhole() {
    ShardedStep step = ShardedStep.of(graphs("moe", 5), Mesh.parse("expert=2"), 0, 1);
    ShardedStep halves = step.inHalves(Level.STACK);
    assertEquals(exchanges(step), exchanges(halves));
    assertTrue(halves.remarks().stream().anyMatch(r -> r.contains("changes nothing")));
  }

  /** Two sums of activations per block each way; each in two halves, none twice. */
  @Test
  void everySumOfActivationsIsInHalves() {
    var config = new ModelConfig(2, 64, 4, 16, 32, 0);
    StepGraphs wide = StepGraphs.of(new Gpt(), config, 2, DataType.F32, ADAMW, 1);
    ShardedStep plain = ShardedStep.of(wide, Mesh.parse("model=2"), 0, 1);
    assertEquals(8, sums(plain, 2 * 16 * 64, 2));
    for (int number = 1; number <= 3; number++) {
      ShardedStep halves = plain.inHalves(Level.values()[number]);
      assertEquals(0, sums(halves, 2 * 16 * 64, 2), "whole ones of level " + number);
      assertEquals(16, sums(halves, 16 * 64, 4), "halves of level " + number);
      assertEquals(plain.explanation().bytesPerDevice(), halves.explanation().bytesPerDevice());
    }
  }

  /** How often activations of that size are summed in rounds: at least so often. */
  private static long sums(ShardedStep step, long elements, int least) {
    return step.explanation().collectives().stream()
        .filter(u -> u.op().kind() == Collective.Kind.ALL_REDUCE && u.count() >= least)
        .filter(u -> u.local().elements() == elements)
        .mapToLong(CollectiveUse::count)
        .sum();
  }

  @Test
  void oneRowIsRefused() {
    ShardedStep step = ShardedStep.of(graphs("gpt", 1), Mesh.parse("model=2"), 0, 1);
    String message =
        assertThrows(UserException.class, () -> step.inHalves(Level.BLOCK)).getMessage();
    assertTrue(message.contains("sub-pipeline 2") && message.contains("micro-batches"), message);
  }

  @Test
  void whereNothingOfTheBatchIsSentARemarkSaysSo() {
    ShardedStep step = ShardedStep.of(graphs("gpt", 4), Mesh.parse("data=2"), 0, 1);
    ShardedStep same = step.inHalves(Level.STACK);
    assertTrue(same.remarks().stream().anyMatch(r -> r.contains("changes nothing")));
    assertEquals(
        step.passes().getFirst().half().partitioned().graph(),
        same.passes().getFirst().half().partitioned().graph());
  }

  /**
   * Where devices compute as fast as they send, a level hides more than the one before, and few
   * more calls are all it costs.
   */
  @Test
  void everyLevelExposesLess() {
    var config = new ModelConfig(4, 512, 8, 128, 256, 0);
    StepGraphs graphs = StepGraphs.of(new Gpt(), config, 8, DataType.F32, ADAMW, 1);
    CostModel.Duration[] found = exposed(graphs, Mesh.parse("model=4"));
    for (int level = 1; level <= 3; level++) {
      double before = found[level - 1].communication();
      assertTrue(
          found[level].communication() < (level < 3 ? 0.75 : 0.9) * before,
          () -> Arrays.toString(found));
    }
    assertTrue(found[3].time() < found[0].time(), () -> Arrays.toString(found));
  }

  /** So it is with tokens that go to their experts, and their results that come back. */
  @Test
  void everyLevelExposesLessOfExchanges() {
    var config = new ModelConfig(4, 512, 8, 128, 256, 0, 4, new Experts(4, 1.25, 0.01, 1));
    StepGraphs graphs = StepGraphs.of(new Moe(), config, 32, DataType.F32, ADAMW, 1);
    CostModel.Duration[] found = exposed(graphs, Mesh.parse("expert=4"));
    for (int level = 1; level <= 2; level++) {
      double before = found[level - 1].communication();
      assertTrue(found[level].communication() < 0.8 * before, () -> Arrays.toString(found));
    }
    assertTrue(found[3].communication() <= found[2].communication(), () -> Arrays.toString(found));
    assertTrue(found[3].time() < found[0].time(), () -> Arrays.toString(found));
  }

  /** By level. */
  private static CostModel.Duration[] exposed(StepGraphs graphs, Mesh mesh) {
    ShardedStep plain = ShardedStep.of(graphs, mesh, 0, 1);
    var device = new DeviceProfile(Bytes.of(1L << 34), Map.of("f32", 4e12), 1e12, 1e-6, Map.of());
    var link = new Link(1e-6, 2e10);
    var costs = new ClusterCosts(new Cluster("four", 1, 4, device, link, link, true), 4);
    var found = new CostModel.Duration[4];
    for (Level level : Level.values()) {
      Graph graph = plain.inHalves(level).passes().getFirst().half().partitioned().graph();
      Graph run = Bucketing.apply(Hoisting.apply(Optimize.optimize(graph)), Bytes.of(4L << 20));
      found[level.ordinal()] = Exposure.of(run, mesh, costs, 0);
    }
    return found;
  }
}
