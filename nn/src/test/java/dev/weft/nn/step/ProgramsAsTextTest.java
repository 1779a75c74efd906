package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Program;
import dev.weft.core.program.ProgramText;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.stage.Recomputation;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.model.Resnet;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.model.Unet;
import dev.weft.nn.optimizer.Optimizer;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What devices run, collectives and halos included, can be written down and read. */
final class ProgramsAsTextTest {
  private static final TensorType IMAGES = TensorType.of(DataType.F32, 2, 1, 8, 8);

  private static PipelineStep step(
      StepGraphs.Model model, Map<String, TensorType> data, String mesh, int zero) {
    var plan =
        new PipelinePlan(
            2,
            1,
            Mesh.parse(mesh),
            zero,
            3,
            Schedules.named("1f1b"),
            _ -> new Recomputation.Full(),
            RecomputeTiming.EARLY);
    var optimizer = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);
    return PipelineStep.of(model, data, DataType.F32, optimizer, 1, plan);
  }

  private static PipelineStep step(TokenModel model, String mesh, int zero) {
    var config = new ModelConfig(4, 8, 2, 4, 6, 0.3, 4, new Experts(2, 1, 0.5, 1));
    return step(StepGraphs.tokens(model, config), StepGraphs.tokens(config, 2), mesh, zero);
  }

  @ParameterizedTest
  @CsvSource({
    "gpt, data=2, 3",
    "gpt, model=2, 0",
    "gpt, sequence=2, 1",
    "moe, expert=2, 0",
    "unet, space=2, 0",
    "resnet, data=2, 2",
  })
  void whatIsPrintedReadsBack(String model, String mesh, int zero) {
    PipelineStep step =
        switch (model) {
          case "gpt" -> step(new Gpt(), mesh, zero);
          case "moe" -> step(new Moe(), mesh, zero);
          case "unet" ->
              step(
                  SmallModels.labelled("images", new Unet(2, 2, 3)::loss),
                  SmallModels.labelled("images", IMAGES, 2, 8, 8),
                  mesh,
                  zero);
          default ->
              step(
                  SmallModels.labelled("images", new Resnet(2, 2, 3)::loss),
                  SmallModels.labelled("images", IMAGES, 2),
                  mesh,
                  zero);
        };
    for (Program program : List.of(step.train(), step.norm(), step.update(), step.evaluate())) {
      String text = ProgramText.print(program);
      assertEquals(text, ProgramText.print(ProgramText.parse(text)), program.name());
    }
  }
}
