package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.DataType;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.simulate.Simulator;
import dev.weft.core.simulate.UnitCosts;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A step on stages is the step on one device, whatever the schedule; dropout is on. */
class PipelineStepTest {
  private static final int BATCH = 2;

  @ParameterizedTest
  @CsvSource({
    "gpt, 1, '', 0, 1, gpipe, none",
    "gpt, 1, '', 0, 4, 1f1b, full",
    "gpt, 1, '', 0, 3, zero-bubble, none",
    "gpt, 1, '', 0, 1, interleaved, none",
    "gpt, 1, 'data=2', 1, 1, interleaved, full",
    "gpt, 1, 'data=2,model=2', 0, 3, 1f1b, none",
    "gpt, 1, 'data=2', 0, 1, 1f1b, none",
    "gpt, 1, 'data=2', 1, 2, 1f1b, none",
    "gpt, 1, 'data=2', 2, 3, 1f1b, none",
    "gpt, 1, 'data=2,model=2', 3, 2, 1f1b, none",
    "gpt, 1, 'data=2', 1, 2, 1f1b, full",
    "gpt, 1, 'data=1', 0, 2, 1f1b, none",
    "moe, 1, 'expert=2', 0, 2, 1f1b, none",
    "unet, 1, 'data=2,space=2', 0, 1, 1f1b, none",
    "resnet, 1, 'data=2', 0, 2, 1f1b, none",
    "gpt, 2, '', 0, 4, gpipe, full inline",
    "gpt, 4, '', 0, 4, shifted, full",
    "gpt, 4, '', 0, 8, eager-1f1b, none",
    "gpt, 2, '', 0, 4, interleaved, full",
    "gpt, 2, 'data=2', 2, 4, 1f1b, full",
    "gpt, 2, 'model=2', 0, 1, 1f1b, none",
    "gpt, 2, 'data=2', 0, 3, 1f1b, full",
    "gpt, 2, 'data=2', 1, 2, zero-bubble, none",
    "moe, 2, 'data=2', 1, 2, interleaved, none",
    "moe, 4, '', 0, 4, 1f1b, full inline",
    "unet, 4, '', 0, 4, 1f1b, full",
    "unet, 2, '', 0, 4, interleaved, none",
    "mlp, 4, '', 0, 8, shifted, full inline",
    "resnet, 2, '', 0, 4, 1f1b, full",
    "resnet, 3, '', 0, 4, zero-bubble, none",
    "resnet, 2, 'data=2', 1, 4, gpipe, none"
  })
  void equalsOneDevice(
      String model,
      int stages,
      String mesh,
      int zero,
      int microBatches,
      String schedule,
      String recompute) {
    ComparedStep.check(
        model, BATCH, ComparedStep.plan(stages, mesh, zero, microBatches, schedule, recompute));
  }

  /** Narrow gradients that are widened and added up as parts come to what one device adds up. */
  @ParameterizedTest
  @CsvSource({
    "1, data=2, 0, 3, none",
    "1, data=2, 1, 2, none",
    "2, data=2, 0, 3, full",
    "2, data=2, 1, 2, none",
    "2, data=2, 2, 2, none"
  })
  void equalsOneDeviceInNarrowProducts(
      int stages, String mesh, int zero, int microBatches, String recompute) {
    ComparedStep.check(
        "gpt",
        BATCH,
        DataType.BF16,
        0.01,
        ComparedStep.plan(stages, mesh, zero, microBatches, "1f1b", recompute));
  }

  static Stream<Arguments> all() {
    var all = new ArrayList<Arguments>();
    for (int stages : List.of(1, 2, 4)) {
      for (int microBatches : List.of(1, 4, 8)) {
        for (String schedule : Schedules.names()) {
          for (String recompute : List.of("none", "full", "full inline", "0.5", "0.5 inline")) {
            all.add(Arguments.of(stages, microBatches, schedule, recompute));
          }
        }
      }
    }
    return all.stream();
  }

  /** Every schedule, or its refusal. */
  @Tag("nightly")
  @ParameterizedTest
  @MethodSource("all")
  void equalsOneDeviceEverywhere(int stages, int microBatches, String schedule, String recompute) {
    PipelinePlan plan = ComparedStep.plan(stages, "", 0, microBatches, schedule, recompute);
    var setting = Setting.of(stages, microBatches).withChunks(plan.chunks());
    if (plan.schedule().obstacle(setting).isPresent()) {
      ComparedStep.Example example = ComparedStep.example("gpt", BATCH);
      assertThrows(
          UserException.class,
          () ->
              PipelineStep.of(
                  example.model(), example.data(), DataType.F64, ComparedStep.SGD, 0, plan));
    } else {
      ComparedStep.check("gpt", BATCH, plan);
    }
  }

  @Test
  void oneStageRefusesWhatItsScheduleCannotRun() {
    ComparedStep.Example example = ComparedStep.example("gpt", BATCH);
    PipelinePlan plan = ComparedStep.plan(1, "", 0, 1, "shifted", "none");
    assertThrows(
        UserException.class,
        () ->
            PipelineStep.of(
                example.model(), example.data(), DataType.F64, ComparedStep.SGD, 0, plan));
  }

  @Test
  void oneStageAndOneMicroBatchIsOneRun() {
    ComparedStep.Example example = ComparedStep.example("gpt", BATCH);
    PipelinePlan plan = ComparedStep.plan(1, "", 0, 1, "1f1b", "none");
    PipelineStep step =
        PipelineStep.of(example.model(), example.data(), DataType.F64, ComparedStep.SGD, 1, plan);
    StageProgram stage = step.train().stages().getFirst();
    assertEquals(1, stage.steps().stream().filter(Step.Run.class::isInstance).count());
    assertTrue(
        stage.steps().stream().allMatch(s -> s instanceof Step.Run || s instanceof Step.Feed));
  }

  /** No step is spent on clearing gradients: the first backward writes them. */
  @Test
  void accumulatorsAreNotCleared() {
    ComparedStep.Example example = ComparedStep.example("gpt", BATCH);
    PipelinePlan plan = ComparedStep.plan(2, "", 0, 4, "1f1b", "none");
    PipelineStep step =
        PipelineStep.of(example.model(), example.data(), DataType.F64, ComparedStep.SGD, 1, plan);
    for (StageProgram stage : step.train().stages()) {
      var names = new HashSet<String>();
      stage.fragments().forEach(f -> names.add(f.name()));
      assertTrue(names.contains("backward.first"), names::toString);
      assertTrue(!names.contains("clear"), names::toString);
    }
  }

  /** Links that the strict order waits for: another is trained by, and that is said. */
  @Test
  void anOrderThatWouldLoseIsReplacedAndSaid() {
    ComparedStep.Example example = ComparedStep.example("gpt", BATCH);
    PipelinePlan plan = ComparedStep.plan(4, "", 0, 16, "shifted", "full inline");
    for (double delay : new double[] {0, 0.5}) {
      var costs = UnitCosts.of(UnitCosts.parse("F=1,B=2,R=1"), 4, 4, delay);
      PipelineStep step =
          PipelineStep.of(
              example.model(),
              example.data(),
              DataType.F64,
              ComparedStep.SGD,
              1,
              plan.withCosts(costs));
      double taken = Simulator.simulate(step.train(), costs).makespan();
      if (delay == 0) {
        assertEquals(List.of(), step.remarks());
        assertEquals(70, taken);
      } else {
        assertEquals(
            List.of(
                "schedule shifted would take 1.11 times as long here as shifted with every"
                    + " recompute early: that is taken instead"),
            step.remarks());
        assertEquals(74, taken);
      }
    }
  }

  /** Gradients are reduced in the last backward, as soon as they are made, not after it. */
  @ParameterizedTest
  @CsvSource({"0", "1", "3"})
  void gradientsAreFoldedInTheLastBackward(int zero) {
    ComparedStep.Example example = ComparedStep.example("gpt", BATCH);
    PipelinePlan plan = ComparedStep.plan(2, "data=2", zero, 4, "1f1b", "none");
    PipelineStep step =
        PipelineStep.of(example.model(), example.data(), DataType.F64, ComparedStep.SGD, 1, plan);
    for (StageProgram stage : step.norm().stages()) {
      long exchanged =
          stage.fragments().stream()
              .filter(fragment -> fragment.name().equals("fold"))
              .flatMap(fragment -> fragment.graph().nodes().stream())
              .filter(node -> node.op() instanceof Collective)
              .count();
      assertEquals(0, exchanged);
    }
  }
}
