package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.op.Repeat;
import dev.weft.core.program.Program;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Explanation;
import dev.weft.core.stage.Recomputation;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.optimizer.Optimizer;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The collectives that an explanation lists are those that the step's programs do. */
class ExplainedStepTest {
  private static final Optimizer ADAMW = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);

  @ParameterizedTest
  @CsvSource({"'data=2', 0, 1", "'data=2', 2, 3", "'data=2,model=2', 1, 2", "'model=2', 3, 4"})
  void namesWhatRuns(String axes, int zero, int microBatches) {
    Mesh mesh = Mesh.parse(axes);
    var config = new ModelConfig(3, 8, 2, 6, 12, 0.1);
    StepGraphs.Model model = StepGraphs.tokens(new Gpt(), config);
    var data = StepGraphs.tokens(config, 4);
    StepGraphs graphs = StepGraphs.of(model, data, DataType.F32, ADAMW, 1);
    Explanation explanation = ShardedStep.of(graphs, mesh, zero, microBatches).explanation();
    Map<String, Long> explained = new TreeMap<>();
    for (CollectiveUse use : explanation.collectives()) {
      explained.merge(use.op().kind() + " " + use.local(), use.count(), Long::sum);
    }
    var plan =
        new PipelinePlan(
            1,
            1,
            mesh,
            zero,
            microBatches,
            Schedules.named("1f1b"),
            _ -> new Recomputation.None(),
            RecomputeTiming.EARLY);
    PipelineStep step = PipelineStep.of(model, data, DataType.F32, ADAMW, 1, plan);
    Map<String, Long> run = new TreeMap<>();
    for (Program program : List.of(step.train(), step.norm(), step.update())) {
      StageProgram stage = program.stages().getFirst();
      for (Step own : stage.steps()) {
        if (own instanceof Step.Run fragment) {
          count(stage.fragments().get(fragment.fragment()).graph(), 1, run);
        }
      }
    }
    assertEquals(explained, run);
    assertTrue(!run.isEmpty());
  }

  private static void count(Graph graph, long times, Map<String, Long> counts) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        count(repeat.body(), times * repeat.count(), counts);
      } else if (node.op() instanceof Collective collective) {
        counts.merge(collective.kind() + " " + node.input(0).type(), times, Long::sum);
      }
    }
  }
}
