package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.Collective.Kind;
import dev.weft.core.collective.Reducing;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Role;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.optimizer.Optimizer;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Which collectives the steps of models come to, at sizes where activations weigh more than weights
 * and at others: those of Megatron's layout (Shoeybi et al.), of ZeRO and of GShard.
 */
class CollectiveCountsTest {
  private static final Optimizer ADAMW = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);

  /** Layers, hidden, heads, sequence, vocabulary; and how many sequences. */
  private enum Size {
    TINY(2, 16, 4, 8, 64, 16),
    WORDS(3, 32, 8, 8, 4096, 8),
    SMALL(6, 384, 8, 256, 256, 16),
    LARGE(24, 2048, 16, 1024, 50_304, 32);

    final ModelConfig config;
    final long batch;

    Size(int layers, int hidden, int heads, int sequence, int vocabulary, long batch) {
      this.config = new ModelConfig(layers, hidden, heads, sequence, vocabulary, 0);
      this.batch = batch;
    }

    StepGraphs graphs(TokenModel model) {
      return graphs(model, DataType.F32);
    }

    StepGraphs graphs(TokenModel model, DataType dtype) {
      return StepGraphs.of(model, config, batch, dtype, ADAMW, 1);
    }
  }

  private static Partitioned micro(StepGraphs graphs, String mesh) {
    Set<Integer> gradients = new HashSet<>();
    for (int i = 0; i < graphs.parameters().size(); i++) {
      gradients.add(2 + i);
    }
    var given = new Partitioner.Given(Map.of(), Map.of(), Map.of(), gradients);
    return Partitioner.partition(graphs.micro(), Mesh.parse(mesh), given);
  }

  private static long count(List<CollectiveUse> uses, Predicate<CollectiveUse> predicate) {
    return uses.stream().filter(predicate).mapToLong(CollectiveUse::count).sum();
  }

  @ParameterizedTest
  @CsvSource({
    "TINY,model=2",
    "TINY,model=4",
    "WORDS,model=2",
    "WORDS,model=4",
    "SMALL,model=2",
    "SMALL,'data=2,model=2'",
    "LARGE,model=2",
    "LARGE,model=4",
    "LARGE,'data=8,model=4'"
  })
  void aGptSplitOverModelReducesTwicePerBlockAndPass(Size size, String mesh) {
    StepGraphs graphs = size.graphs(new Gpt());
    List<CollectiveUse> uses = micro(graphs, mesh).collectives();
    int data = Mesh.parse(mesh).size("data");
    long activations = size.batch / data * size.config.sequence() * size.config.hidden() * 4;
    int layers = size.config.layers();
    Predicate<CollectiveUse> large = use -> use.local().bytes() == activations;
    for (CollectiveUse use : uses) {
      assertEquals(Kind.ALL_REDUCE, use.op().kind(), use::toString);
      // What is small is a scalar, or the rows of a chunk of the cross-entropy.
      assertTrue(
          large.test(use) || use.local().rank() <= 1 && use.role() == Role.FORWARD, use::toString);
    }
    assertEquals(2L * layers + 1, count(uses, large.and(u -> u.role() == Role.FORWARD)));
    assertEquals(2L * layers + 1, count(uses, large.and(u -> u.role() == Role.INPUT_GRADIENT)));
    assertEquals(4L * layers + 2, count(uses, large));
    List<CollectiveUse> rows = uses.stream().filter(u -> u.local().rank() == 1).toList();
    assertEquals(2, rows.size(), rows::toString);
    assertEquals(rows.getFirst().count(), rows.getLast().count());
  }

  @ParameterizedTest
  @CsvSource({"TINY", "SMALL", "LARGE"})
  void dataParallelGradientsStayPartsUntilTheyAreReducedOnce(Size size) {
    StepGraphs graphs = size.graphs(new Gpt());
    for (CollectiveUse use : micro(graphs, "data=4").collectives()) {
      assertEquals(0, use.local().rank(), use::toString);
    }
    for (int microBatches : List.of(2, 4)) {
      ShardedStep step = ShardedStep.of(graphs, Mesh.parse("data=4"), 0, microBatches);
      Map<String, Long> bytes = new HashMap<>();
      for (CollectiveUse use : step.explanation().collectives()) {
        assertEquals(Kind.ALL_REDUCE, use.op().kind(), use::toString);
        if (use.local().rank() > 0) {
          bytes.merge("all", use.totalBytes(), Long::sum);
        }
      }
      long parameters = graphs.parameters().stream().mapToLong(p -> p.type().bytes()).sum();
      assertEquals(2 * parameters * 3 / 4, bytes.get("all"), 100 + parameters * 1e-6);
    }
  }

  @ParameterizedTest
  @CsvSource({"TINY,1", "TINY,3", "SMALL,1", "SMALL,3", "LARGE,1", "LARGE,2"})
  void zeroScattersGradientsAndGathersWeights(Size size, int microBatches) {
    StepGraphs graphs = size.graphs(new Gpt());
    ShardedStep step = ShardedStep.of(graphs, Mesh.parse("data=4"), 2, microBatches);
    long parameters = graphs.parameters().stream().mapToLong(p -> p.type().bytes()).sum();
    for (CollectiveUse use : step.explanation().collectives()) {
      boolean scalar = use.local().rank() == 0;
      assertTrue(scalar || use.op().kind() != Kind.ALL_REDUCE, use::toString);
      assertTrue(use.op().kind() != Kind.ALL_TO_ALL, use::toString);
    }
    List<CollectiveUse> updates = step.update().partitioned().collectives();
    for (CollectiveUse use : updates) {
      assertEquals(Kind.ALL_GATHER, use.op().kind(), use::toString);
    }
    assertEquals(parameters * 3 / 4, updates.stream().mapToLong(CollectiveUse::totalBytes).sum());
    for (ShardedStep.Pass pass : step.passes()) {
      long scattered =
          pass.half().partitioned().collectives().stream()
              .filter(u -> u.op().kind() == Kind.REDUCE_SCATTER)
              .mapToLong(CollectiveUse::totalBytes)
              .sum();
      assertTrue(scattered >= parameters * 3 / 4, step::toString);
    }
  }

  @ParameterizedTest
  @CsvSource({"TINY,expert=4", "SMALL,expert=4", "LARGE,expert=4", "SMALL,expert=2"})
  void mixturesExchangeTokensFourTimes(Size size, String mesh) {
    List<CollectiveUse> uses = micro(size.graphs(new Moe()), mesh).collectives();
    int layers = size.config.layers();
    Predicate<CollectiveUse> exchange = use -> use.op().kind() == Kind.ALL_TO_ALL;
    assertEquals(2L * layers, count(uses, exchange.and(u -> u.role() == Role.FORWARD)));
    assertEquals(4L * layers, count(uses, exchange));
    long vectors = 0;
    for (CollectiveUse use : uses) {
      if (!exchange.test(use)) {
        assertEquals(Kind.ALL_REDUCE, use.op().kind(), use::toString);
        assertTrue(use.local().elements() <= Experts.DEFAULT.count(), use::toString);
        vectors += use.local().rank() == 0 ? 0 : use.count();
      }
    }
    assertTrue(vectors <= layers, uses::toString);
  }

  /**
   * Gradients that are computed in a narrow type are widened as parts: accumulators are reduced
   * once for all micro-batches, as those of wide gradients are.
   */
  @ParameterizedTest
  @CsvSource({
    "gpt,TINY,data=4,0",
    "gpt,SMALL,data=4,0",
    "gpt,SMALL,data=4,1",
    "moe,SMALL,data=4,0",
    "moe,SMALL,expert=4,0",
    "moe,TINY,'data=2,expert=2',1"
  })
  void narrowGradientsAreReducedAsOftenAsWideOnes(String model, Size size, String mesh, int zero) {
    for (int microBatches : List.of(2, 4)) {
      Map<DataType, List<String>> reduced = new HashMap<>();
      for (DataType dtype : List.of(DataType.F32, DataType.BF16, DataType.F16)) {
        StepGraphs graphs = size.graphs(model.equals("gpt") ? new Gpt() : new Moe(), dtype);
        ShardedStep step = ShardedStep.of(graphs, Mesh.parse(mesh), zero, microBatches);
        reduced.put(
            dtype,
            step.explanation().collectives().stream()
                .filter(use -> use.role() == Role.WEIGHT_GRADIENT && use.local().rank() > 0)
                .filter(use -> use.op() instanceof Reducing)
                .map(use -> use.count() + " " + use.op() + " " + use.local())
                .sorted()
                .toList());
      }
      List<String> wide = reduced.get(DataType.F32);
      assertTrue(!wide.isEmpty());
      assertEquals(wide, reduced.get(DataType.BF16));
      assertEquals(wide, reduced.get(DataType.F16));
    }
  }

  /** Of one micro-batch nothing adds up: half the bytes do. */
  @Test
  void narrowGradientsOfOneMicroBatchAreReducedNarrow() {
    StepGraphs graphs = Size.SMALL.graphs(new Gpt(), DataType.BF16);
    long matrices = 0;
    for (CollectiveUse use :
        ShardedStep.of(graphs, Mesh.parse("data=4"), 0, 1).explanation().collectives()) {
      if (use.role() == Role.WEIGHT_GRADIENT && use.count() > 1) {
        assertEquals(DataType.BF16, use.local().dtype(), use::toString);
        matrices += use.local().rank() == 2 ? 1 : 0;
      }
    }
    assertEquals(4, matrices);
  }

  /** The program of a device grows neither with the devices nor with the layers. */
  @Test
  void aThousandDevicesTakeNoMoreThanFour() {
    var config = new ModelConfig(96, 8192, 64, 2048, 50_304, 0);
    StepGraphs graphs = StepGraphs.of(new Gpt(), config, 1024, DataType.F32, ADAMW, 1);
    long start = System.nanoTime();
    Partitioned large = micro(graphs, "data=32,model=64");
    double seconds = (System.nanoTime() - start) / 1e9;
    Partitioned small = micro(graphs, "data=2,model=2");
    assertEquals(small.graph().nodes().size(), large.graph().nodes().size());
    assertEquals(small.collectives().size(), large.collectives().size());
    // Ten times the time that it takes: the machine may be busy.
    assertTrue(seconds < 8, () -> seconds + " s");
  }
}
