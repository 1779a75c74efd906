package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Program;
import dev.weft.core.program.ProgramInterpreter;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.simulate.Simulator;
import dev.weft.core.simulate.UnitCosts;
import dev.weft.core.stage.Recomputation;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.Mlp;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.model.Resnet;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.model.Unet;
import dev.weft.nn.optimizer.Optimizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A step on stages is the step on one device, whatever the schedule; dropout is on. */
class PipelineStepTest {
  private static final Optimizer SGD = new Optimizer.SgdMomentum(0.9, false, 0.01);
  private static final int BATCH = 2;

  /** A model to try. */
  private record Example(StepGraphs.Model model, Map<String, TensorType> data) {
    StepGraphs graphs(double clip) {
      return StepGraphs.forOneDevice(model, data, DataType.F64, SGD, clip);
    }
  }

  private static final Map<String, OneDevice> EXPECTED = new ConcurrentHashMap<>();

  private static Example example(String name) {
    var data = new LinkedHashMap<String, TensorType>();
    return switch (name) {
      case "gpt" -> tokens(new Gpt(), 8);
      case "moe" -> tokens(new Moe(), 4);
      case "unet" -> {
        var unet = new Unet(2, 2, 3);
        data.put("images", TensorType.of(DataType.F64, BATCH, 1, 4, 8));
        data.put("labels", TensorType.of(DataType.I64, BATCH, 4, 8));
        yield new Example(
            (m, batch) -> unet.loss(m, at(batch, "images"), at(batch, "labels")), data);
      }
      case "resnet" -> {
        var resnet = new Resnet(2, 2, 3);
        data.put("images", TensorType.of(DataType.F64, BATCH, 1, 4, 8));
        data.put("labels", TensorType.of(DataType.I64, BATCH));
        yield new Example(
            (m, batch) -> resnet.loss(m, at(batch, "images"), at(batch, "labels")), data);
      }
      case "mlp" -> {
        var mlp = new Mlp(4, 6, 3);
        data.put("features", TensorType.of(DataType.F64, BATCH, 2));
        data.put("labels", TensorType.of(DataType.I64, BATCH));
        yield new Example(
            (m, batch) -> mlp.loss(m, at(batch, "features"), at(batch, "labels")), data);
      }
      default -> throw new IllegalArgumentException(name);
    };
  }

  private static <T> T at(Map<String, T> map, String name) {
    return Objects.requireNonNull(map.get(name), name);
  }

  private static Example tokens(TokenModel model, int layers) {
    var config = new ModelConfig(layers, 4, 2, 3, 5, 0.3, 4, new Experts(3, 0.7, 0.5, 1));
    return new Example(StepGraphs.tokens(model, config), StepGraphs.tokens(config, BATCH));
  }

  private static Recomputation recomputation(String text) {
    return switch (text) {
      case "none" -> new Recomputation.None();
      case "full" -> new Recomputation.Full();
      default -> new Recomputation.Fraction(Double.parseDouble(text));
    };
  }

  private static PipelinePlan plan(
      int stages, String mesh, int zero, int microBatches, String schedule, String recompute) {
    Schedule order = Schedules.named(schedule);
    String[] parts = recompute.split(" ");
    return new PipelinePlan(
        stages,
        order.usualChunks(),
        Mesh.parse(mesh),
        zero,
        microBatches,
        order,
        _ -> recomputation(parts[0]),
        parts.length > 1 ? RecomputeTiming.INLINE : RecomputeTiming.EARLY);
  }

  /** Runs a step with a clipped gradient, then compares all that it leaves behind. */
  private static void check(String name, PipelinePlan plan) {
    Example example = example(name);
    double clip = 0.05;
    OneDevice expected =
        EXPECTED.computeIfAbsent(
            name + plan.microBatches(),
            _ -> OneDevice.run(example.graphs(clip), example.data(), plan.microBatches()));
    PipelineStep step =
        PipelineStep.of(example.model(), example.data(), DataType.F64, SGD, clip, plan);
    var interpreter = new ProgramInterpreter();
    for (int stage = 0; stage < plan.stages(); stage++) {
      StageProgram train = step.train().stages().get(stage);
      StageProgram update = step.update().stages().get(stage);
      for (Parameter parameter : step.stageParameters().get(stage)) {
        interpreter.put(train, parameter.key(), OneDevice.initial(parameter));
        if (PipelineStep.owner(step.stageParameters(), parameter) == stage) {
          Literal zeros = Literal.filled(parameter.type(), 0);
          SGD.slots(parameter)
              .forEach(slot -> interpreter.put(update, parameter.key() + "." + slot, zeros));
        }
      }
    }
    var random = new Random(plan.hashCode());
    long rows = OneDevice.rows(example.data());
    var watched =
        interpreter.run(
            step.train(),
            (buffer, microBatch) ->
                Optional.of(OneDevice.fed(buffer.name(), buffer.type(), microBatch, rows)),
            random,
            Set.of(step.loss(), step.weight()));
    double weight = 0;
    for (int m = 0; m < plan.microBatches(); m++) {
      close(expected.losses().get(m), at(watched, step.loss()).get(m).asDouble(0), "loss");
      close(expected.weights().get(m), at(watched, step.weight()).get(m).asDouble(0), "weight");
      weight += expected.weights().get(m);
    }
    var facts = new LinkedHashMap<String, Literal>();
    facts.put("weight", OneDevice.number(weight));
    facts.put("learning_rate", OneDevice.number(OneDevice.RATE));
    facts.put("step", OneDevice.number(OneDevice.STEP));
    facts.put(StepGraphs.MICRO_BATCHES, OneDevice.number(plan.microBatches()));
    ProgramInterpreter.Source source = (buffer, _) -> Optional.ofNullable(facts.get(buffer.name()));
    var norm = interpreter.run(step.norm(), source, random, Set.of(PipelineStep.NORM));
    close(expected.norm(), at(norm, PipelineStep.NORM).get(Step.ONCE).asDouble(0), "norm");
    compare(step, step.norm(), interpreter, ".sum", expected.gradients());
    interpreter.run(step.update(), source, random, Set.of());
    compare(step, step.update(), interpreter, "", expected.parameters());
  }

  /** Compares what the stages keep of parameters with the uncut tensors. */
  private static void compare(
      PipelineStep step,
      Program program,
      ProgramInterpreter interpreter,
      String ending,
      Map<String, Literal> expected) {
    for (int stage = 0; stage < program.stages().size(); stage++) {
      StageProgram own = program.stages().get(stage);
      for (Parameter parameter : step.stageParameters().get(stage)) {
        boolean owned = PipelineStep.owner(step.stageParameters(), parameter) == stage;
        // The norm takes no averages; what they learn is seen after the update.
        if (!ending.isEmpty() && (!owned || parameter.averaged())) {
          continue;
        }
        boolean folded =
            own.buffers().stream().anyMatch(b -> b.name().equals(parameter.key() + ".gradient"));
        String name = parameter.key() + (folded && !ending.isEmpty() ? ".gradient" : ending);
        int first = Math.toIntExact(parameter.firstElement());
        int size = Math.toIntExact(parameter.type().elements());
        double[] whole = at(expected, parameter.name()).doubles();
        double[] found = interpreter.get(own, name).doubles();
        double largest = Arrays.stream(whole).map(Math::abs).max().orElse(0);
        assertArrayEquals(
            Arrays.copyOfRange(whole, first, first + size), found, 1e-10 * (1 + largest), name);
      }
    }
  }

  private static void close(double expected, double found, String what) {
    assertEquals(expected, found, 1e-10 * (1 + Math.abs(expected)), what);
  }

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
    check(model, plan(stages, mesh, zero, microBatches, schedule, recompute));
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
    PipelinePlan plan = plan(stages, "", 0, microBatches, schedule, recompute);
    var setting = Setting.of(stages, microBatches).withChunks(plan.chunks());
    if (plan.schedule().obstacle(setting).isPresent()) {
      Example example = example("gpt");
      assertThrows(
          UserException.class,
          () -> PipelineStep.of(example.model(), example.data(), DataType.F64, SGD, 0, plan));
    } else {
      check("gpt", plan);
    }
  }

  @Test
  void oneStageRefusesWhatItsScheduleCannotRun() {
    Example example = example("gpt");
    PipelinePlan plan = plan(1, "", 0, 1, "shifted", "none");
    assertThrows(
        UserException.class,
        () -> PipelineStep.of(example.model(), example.data(), DataType.F64, SGD, 0, plan));
  }

  @Test
  void oneStageAndOneMicroBatchIsOneRun() {
    Example example = example("gpt");
    PipelinePlan plan = plan(1, "", 0, 1, "1f1b", "none");
    PipelineStep step =
        PipelineStep.of(example.model(), example.data(), DataType.F64, SGD, 1, plan);
    StageProgram stage = step.train().stages().getFirst();
    assertEquals(1, stage.steps().stream().filter(Step.Run.class::isInstance).count());
    assertTrue(
        stage.steps().stream().allMatch(s -> s instanceof Step.Run || s instanceof Step.Feed));
  }

  /** No step is spent on clearing gradients: the first backward writes them. */
  @Test
  void accumulatorsAreNotCleared() {
    Example example = example("gpt");
    PipelinePlan plan = plan(2, "", 0, 4, "1f1b", "none");
    PipelineStep step =
        PipelineStep.of(example.model(), example.data(), DataType.F64, SGD, 1, plan);
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
    Example example = example("gpt");
    PipelinePlan plan = plan(4, "", 0, 16, "shifted", "full inline");
    for (double delay : new double[] {0, 0.5}) {
      var costs = UnitCosts.of(UnitCosts.parse("F=1,B=2,R=1"), 4, 4, delay);
      PipelineStep step =
          PipelineStep.of(
              example.model(), example.data(), DataType.F64, SGD, 1, plan.withCosts(costs));
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
    Example example = example("gpt");
    PipelinePlan plan = plan(2, "data=2", zero, 4, "1f1b", "none");
    PipelineStep step =
        PipelineStep.of(example.model(), example.data(), DataType.F64, SGD, 1, plan);
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
