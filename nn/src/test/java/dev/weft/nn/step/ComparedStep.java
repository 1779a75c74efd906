package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Mesh;
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
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Steps that are spread over stages in plain Java, held against one device. */
final class ComparedStep {
  private ComparedStep() {}

  static final Optimizer SGD = new Optimizer.SgdMomentum(0.9, false, 0.01);

  /** A model to try. */
  record Example(StepGraphs.Model model, Map<String, TensorType> data) {
    StepGraphs graphs(DataType dtype, double clip) {
      return StepGraphs.forOneDevice(model, data, dtype, SGD, clip);
    }
  }

  private static final Map<String, OneDevice> EXPECTED = new ConcurrentHashMap<>();

  static Example example(String name, int rows) {
    var data = new LinkedHashMap<String, TensorType>();
    return switch (name) {
      case "gpt" -> tokens(new Gpt(), 8, rows);
      case "moe" -> tokens(new Moe(), 4, rows);
      case "unet" -> {
        var unet = new Unet(2, 2, 3);
        data.put("images", TensorType.of(DataType.F64, rows, 1, 4, 8));
        data.put("labels", TensorType.of(DataType.I64, rows, 4, 8));
        yield new Example(
            (m, batch) -> unet.loss(m, at(batch, "images"), at(batch, "labels")), data);
      }
      case "resnet" -> {
        var resnet = new Resnet(2, 2, 3);
        data.put("images", TensorType.of(DataType.F64, rows, 1, 4, 8));
        data.put("labels", TensorType.of(DataType.I64, rows));
        yield new Example(
            (m, batch) -> resnet.loss(m, at(batch, "images"), at(batch, "labels")), data);
      }
      case "mlp" -> {
        var mlp = new Mlp(4, 6, 3);
        data.put("features", TensorType.of(DataType.F64, rows, 2));
        data.put("labels", TensorType.of(DataType.I64, rows));
        yield new Example(
            (m, batch) -> mlp.loss(m, at(batch, "features"), at(batch, "labels")), data);
      }
      default -> throw new IllegalArgumentException(name);
    };
  }

  private static <T> T at(Map<String, T> map, String name) {
    return Objects.requireNonNull(map.get(name), name);
  }

  private static Example tokens(TokenModel model, int layers, int rows) {
    var config = new ModelConfig(layers, 4, 2, 3, 5, 0.3, 4, new Experts(3, 0.7, 0.5, 1));
    return new Example(StepGraphs.tokens(model, config), StepGraphs.tokens(config, rows));
  }

  static Recomputation recomputation(String text) {
    return switch (text) {
      case "none" -> new Recomputation.None();
      case "full" -> new Recomputation.Full();
      default -> new Recomputation.Fraction(Double.parseDouble(text));
    };
  }

  static PipelinePlan plan(
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
  static PipelineStep check(String name, int rows, PipelinePlan plan) {
    return check(name, rows, DataType.F64, 1e-10, plan);
  }

  /**
   * The same with products in some type.
   *
   * @param tolerance beside 1, and beside the largest element of a tensor
   */
  static PipelineStep check(
      String name, int rows, DataType dtype, double tolerance, PipelinePlan plan) {
    Example example = example(name, rows);
    double clip = 0.05;
    OneDevice expected =
        EXPECTED.computeIfAbsent(
            name + " " + rows + " " + dtype + " " + plan.microBatches(),
            _ -> OneDevice.run(example.graphs(dtype, clip), example.data(), plan.microBatches()));
    PipelineStep step = PipelineStep.of(example.model(), example.data(), dtype, SGD, clip, plan);
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
    var watched =
        interpreter.run(
            step.train(),
            (buffer, microBatch) ->
                Optional.of(OneDevice.fed(buffer.name(), buffer.type(), microBatch, rows)),
            random,
            Set.of(step.loss(), step.weight()));
    double weight = 0;
    for (int m = 0; m < plan.microBatches(); m++) {
      close(
          expected.losses().get(m), at(watched, step.loss()).get(m).asDouble(0), "loss", tolerance);
      close(
          expected.weights().get(m),
          at(watched, step.weight()).get(m).asDouble(0),
          "weight",
          tolerance);
      weight += expected.weights().get(m);
    }
    var facts = new LinkedHashMap<String, Literal>();
    facts.put("weight", OneDevice.number(weight));
    facts.put("learning_rate", OneDevice.number(OneDevice.RATE));
    facts.put("step", OneDevice.number(OneDevice.STEP));
    facts.put(StepGraphs.MICRO_BATCHES, OneDevice.number(plan.microBatches()));
    ProgramInterpreter.Source source = (buffer, _) -> Optional.ofNullable(facts.get(buffer.name()));
    var norm = interpreter.run(step.norm(), source, random, Set.of(PipelineStep.NORM));
    close(
        expected.norm(), at(norm, PipelineStep.NORM).get(Step.ONCE).asDouble(0), "norm", tolerance);
    compare(step, step.norm(), interpreter, ".sum", expected.gradients(), tolerance);
    interpreter.run(step.update(), source, random, Set.of());
    compare(step, step.update(), interpreter, "", expected.parameters(), tolerance);
    return step;
  }

  /** Compares what the stages keep of parameters with the uncut tensors. */
  private static void compare(
      PipelineStep step,
      Program program,
      ProgramInterpreter interpreter,
      String ending,
      Map<String, Literal> expected,
      double tolerance) {
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
            Arrays.copyOfRange(whole, first, first + size), found, tolerance * (1 + largest), name);
      }
    }
  }

  private static void close(double expected, double found, String what, double tolerance) {
    assertEquals(expected, found, tolerance * (1 + Math.abs(expected)), what);
  }
}
