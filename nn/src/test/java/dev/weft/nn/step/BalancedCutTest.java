package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Node;
import dev.weft.core.op.Shard;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.stage.Balance;
import dev.weft.core.stage.Cutting;
import dev.weft.core.stage.Recomputation;
import dev.weft.core.stage.Unit;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.TokenModel;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Test;

final class BalancedCutTest {
  private static final ModelConfig CONFIG = new ModelConfig(8, 16, 2, 8, 64, 0);

  private static Cutting cutting() {
    TokenModel model = new Gpt();
    return Cutting.of(
        StepGraphs.forward(
            StepGraphs.tokens(model, CONFIG),
            StepGraphs.tokens(CONFIG, 4),
            DataType.F32,
            Shard::erase));
  }

  private static PipelinePlan plan(int stages, int microBatches, String schedule) {
    return new PipelinePlan(
        stages,
        1,
        Mesh.SINGLE,
        0,
        microBatches,
        Schedules.named(schedule),
        _ -> new Recomputation.None(),
        RecomputeTiming.EARLY);
  }

  private static List<String> begins(
      ToDoubleFunction<Node> seconds, long memory, PipelinePlan plan) {
    Cutting cutting = cutting();
    List<Integer> starts = new BalancedCut(seconds, 0, memory, 2).find(cutting, plan).starts();
    return starts.stream().map(start -> cutting.units().get(start).name()).toList();
  }

  /** Backwards count for the nodes that they are for. */
  @Test
  void theCutFollowsWhatNodesTake() {
    PipelinePlan plan = plan(2, 4, "1f1b");
    assertEquals(
        List.of("embedding", "h.4"),
        begins(node -> node.op().name().startsWith("attention") ? 1 : 0, Long.MAX_VALUE, plan));
    assertEquals(
        List.of("embedding", "linear_cross_entropy"),
        begins(
            node -> node.op().name().startsWith("linear_cross_entropy") ? 1000 : 1,
            Long.MAX_VALUE,
            plan));
    double[] forward = new double[1];
    Cutting cutting = cutting();
    var costs = new PieceCosts(cutting.traced().graph(), n -> n.cost().flops(), 0, false);
    double all = 0;
    for (Unit unit : cutting.units()) {
      all += unit.nodes().stream().mapToDouble(costs::time).sum();
      forward[0] += unit.nodes().stream().mapToDouble(n -> n.cost().flops()).sum();
    }
    assertTrue(all > 2.5 * forward[0] && all < 3.5 * forward[0], all + " of " + forward[0]);
  }

  /**
   * GPipe's first stages hold as much as its last; 1F1B's first hold more, and get fewer layers.
   */
  @Test
  void theCutFollowsMemoryWhereThatIsShort() {
    ToDoubleFunction<Node> seconds = node -> node.op().name().startsWith("attention") ? 1 : 0;
    PipelinePlan plan = plan(2, 8, "1f1b");
    Cutting cutting = cutting();
    var costs = new PieceCosts(cutting.traced().graph(), seconds, 0, true);
    Balance.Cut even = Balance.of(cutting, costs).cut(2);
    // What the first stage needs of the even cut, two micro-batches being alive there.
    long needed = 4 * even.loads().getFirst().parameters() + 2 * even.loads().getFirst().kept();
    assertTrue(even.loads().getFirst().kept() > 0);
    assertEquals(List.of("embedding", "h.4"), begins(seconds, needed, plan));
    assertEquals(List.of("embedding", "h.3"), begins(seconds, needed - 1, plan));
    // Nothing fits: what programs hold decides, not an estimate.
    assertEquals(List.of("embedding", "h.4"), begins(seconds, 1, plan));
  }
}
