package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.Mlp;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.nn.optimizer.Schedule;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class StepGraphsTest {
  private static final Optimizer ADAMW = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);

  private static ModelConfig config(double dropout) {
    return new ModelConfig(2, 4, 2, 3, 5, dropout);
  }

  private static StepGraphs graphs(long batch, double dropout, DataType dtype, double clip) {
    return StepGraphs.of(new Gpt(), config(dropout), batch, dtype, ADAMW, clip);
  }

  /** Parameters, facts and a batch of two texts, of which one target does not count. */
  private static Tensors tensors(StepGraphs graphs) {
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    tensors.fact("seed", 11);
    tensors.fact("step", 5);
    tensors.fact("row", 0);
    tensors.whole("tokens", new long[] {2, 3}, 0, 3, 1, 4, 2, 2);
    tensors.whole("targets", new long[] {2, 3}, 3, 1, -1, 2, 2, 0);
    return tensors;
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 0.3})
  void gradientsOfAWholeModelAreThoseOfFiniteDifferences(double dropout) {
    StepGraphs graphs = graphs(2, dropout, DataType.F64, 0);
    tensors(graphs).checkGradients(graphs);
  }

  @Test
  void gradientsOfAClassifierAreThoseOfFiniteDifferences() {
    var mlp = new Mlp(4, 2, 3);
    StepGraphs graphs =
        StepGraphs.of(
            SmallModels.labelled("features", mlp::loss),
            SmallModels.labelled("features", TensorType.of(DataType.F64, 3, 2), 3),
            DataType.F64,
            ADAMW,
            0);
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    tensors.put(
        "features",
        Literal.of(TensorType.of(DataType.F64, 3, 2), new double[] {1, -2, 0.5, 0.3, -1, 0.7}));
    tensors.whole("labels", new long[] {3}, 2, 0, 1);
    tensors.checkGradients(graphs);
  }

  /** Dropout masks follow the row in the whole batch, not in the micro-batch. */
  @Test
  void microBatchesAddUpToTheBatch() {
    StepGraphs whole = graphs(2, 0.3, DataType.F64, 0);
    List<Literal> expected = tensors(whole).run(whole.micro());
    StepGraphs half = graphs(1, 0.3, DataType.F64, 0);
    Tensors tensors = tensors(half);
    tensors.whole("tokens", new long[] {1, 3}, 0, 3, 1);
    tensors.whole("targets", new long[] {1, 3}, 3, 1, -1);
    List<Literal> first = tensors.run(half.micro());
    for (int i = 0; i < half.parameters().size(); i++) {
      tensors.put(half.parameters().get(i).name() + ".sum", first.get(2 + i));
    }
    tensors.fact("row", 1);
    tensors.whole("tokens", new long[] {1, 3}, 4, 2, 2);
    tensors.whole("targets", new long[] {1, 3}, 2, 2, 0);
    List<Literal> second = tensors.run(half.microNext());
    assertEquals(
        expected.get(0).doubles()[0], first.get(0).doubles()[0] + second.get(0).doubles()[0], 1e-9);
    assertEquals(2, first.get(1).doubles()[0]);
    assertEquals(3, second.get(1).doubles()[0]);
    for (int i = 2; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i).doubles(), second.get(i).doubles(), 1e-9);
      assertEquals(
          half.parameters().get(i - 2).name() + ".sum",
          Objects.requireNonNull(half.microNext().outputs().get(i).donated()).name());
    }
  }

  @Test
  void dropoutIsForTrainingOnly() {
    StepGraphs with = graphs(2, 0.3, DataType.F64, 0);
    StepGraphs without = graphs(2, 0, DataType.F64, 0);
    Tensors tensors = tensors(with);
    double trained = tensors.run(with.micro()).getFirst().doubles()[0];
    double evaluated = tensors.run(with.evaluate()).getFirst().doubles()[0];
    assertNotEquals(trained, evaluated);
    assertEquals(evaluated, tensors.run(without.evaluate()).getFirst().doubles()[0]);
    assertEquals(evaluated, tensors.run(without.micro()).getFirst().doubles()[0], 1e-12);
    assertTrue(without.micro().inputs(Graph.Kind.FACT).isEmpty());
    tensors.fact("step", 6);
    assertNotEquals(trained, tensors.run(with.micro()).getFirst().doubles()[0]);
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 0.5, 100})
  void normsOfMeanGradientsAreClipped(double clip) {
    StepGraphs graphs = graphs(2, 0, DataType.F32, clip);
    Tensors tensors = tensors(graphs);
    double squares = 0;
    for (Parameter parameter : graphs.parameters()) {
      Literal gradient = tensors.get(parameter.name());
      tensors.put(parameter.name() + ".sum", gradient);
      for (double x : gradient.doubles()) {
        squares += x * x;
      }
    }
    tensors.number("weight", 0.25);
    // Less than one row that counts is counted as one: nothing is divided by zero.
    assertEquals(Math.sqrt(squares), tensors.run(graphs.norm()).get(0).doubles()[0], 1e-5);
    tensors.number("weight", 4);
    List<Literal> results = tensors.run(graphs.norm());
    double norm = Math.sqrt(squares) / 4;
    assertEquals(norm, results.get(0).doubles()[0], 1e-5);
    double factor = clip > 0 ? Math.max(1, norm / clip) : 1;
    assertEquals(4 * factor, results.get(1).doubles()[0], 1e-4);
    assertTrue(clip != 0.5 || factor > 1, "the norm is too small to be clipped");
  }

  @Test
  void adamwFollowsItsDefinition() {
    StepGraphs graphs = graphs(2, 0, DataType.F64, 0);
    Tensors tensors = tensors(graphs);
    var before = new Tensors();
    for (Parameter parameter : graphs.parameters()) {
      String name = parameter.name();
      before.put(name, tensors.get(name));
      tensors.put(name + ".sum", tensors.get(name));
      tensors.zeros(name + ".first", parameter.type());
      tensors.zeros(name + ".second", parameter.type());
    }
    tensors.number("learning_rate", 0.5);
    tensors.number("step", 1);
    tensors.number("divisor", 2);
    tensors.run(graphs.update());
    for (Parameter parameter : graphs.parameters()) {
      double decay = parameter.name().matches(".*(bias|ln_.*)") ? 0 : 0.1;
      double[] old = before.get(parameter.name()).doubles();
      double[] now = tensors.get(parameter.name()).doubles();
      for (int i = 0; i < old.length; i++) {
        double gradient = old[i] / 2;
        // After one step both moments are, corrected, the gradient itself and its square.
        double moved = 0.5 * gradient / (Math.abs(gradient) + 1e-8);
        assertEquals(old[i] * (1 - 0.5 * decay) - moved, now[i], 1e-4, parameter.name());
        assertEquals(0.1 * gradient, tensors.get(parameter.name() + ".first").doubles()[i], 1e-9);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16"})
  void trainingLearnsABatch(DataType dtype) {
    StepGraphs graphs = graphs(2, 0, dtype, 1);
    Tensors tensors = tensors(graphs);
    graphs.parameters().forEach(p -> assertEquals(DataType.F32, p.type().dtype()));
    for (Parameter parameter : graphs.parameters()) {
      tensors.zeros(parameter.name() + ".first", parameter.type());
      tensors.zeros(parameter.name() + ".second", parameter.type());
    }
    double before = tensors.run(graphs.evaluate()).getFirst().doubles()[0] / 5;
    var schedule = new Schedule(0.05, 5, 60);
    for (int step = 1; step <= 60; step++) {
      List<Literal> results = tensors.run(graphs.micro());
      for (int i = 0; i < graphs.parameters().size(); i++) {
        tensors.put(graphs.parameters().get(i).name() + ".sum", results.get(2 + i));
      }
      tensors.put("weight", results.get(1));
      tensors.put("divisor", tensors.run(graphs.norm()).get(1));
      tensors.number("step", step);
      tensors.number("learning_rate", schedule.rate(step));
      tensors.run(graphs.update());
    }
    double after = tensors.run(graphs.evaluate()).getFirst().doubles()[0] / 5;
    assertTrue(before > 1 && after < 0.2, () -> before + " became " + after);
  }

  @Test
  void updatesTakeOverTheMemoryOfWhatTheyChange() {
    Graph update = graphs(2, 0, DataType.F32, 0).update();
    for (Graph.Output output : update.outputs()) {
      Value donated = Objects.requireNonNull(output.donated());
      Graph.Kind kind =
          update.inputs().stream()
              .filter(i -> i.value() == donated)
              .findFirst()
              .orElseThrow()
              .kind();
      assertTrue(kind == Graph.Kind.PARAMETER || kind == Graph.Kind.STATE);
    }
    assertEquals(
        update.inputs(Graph.Kind.PARAMETER).size() + update.inputs(Graph.Kind.STATE).size(),
        update.outputs().size());
  }

  @Test
  void theLossIsComputedWithItsGradientInOnePass() {
    for (DataType dtype : List.of(DataType.F32, DataType.BF16)) {
      StepGraphs graphs = graphs(2, 0.1, dtype, 0);
      for (Graph graph : List.of(graphs.micro(), graphs.microNext())) {
        Map<String, Long> counts =
            graph.nodes().stream()
                .collect(Collectors.groupingBy(n -> n.op().name(), Collectors.counting()));
        assertEquals(1, counts.get("linear_cross_entropy_with_gradient"));
        assertNull(counts.get("linear_cross_entropy"));
        assertEquals(2, counts.get("repeat"));
      }
    }
  }

  @Test
  void parametersAreNamedAsTyped() {
    List<Parameter> parameters = graphs(2, 0, DataType.F32, 0).parameters();
    List<String> names = parameters.stream().map(Parameter::name).toList();
    assertTrue(
        names.containsAll(List.of("wte", "wpe", "h.*.qkv.weight", "ln_f.bias")), names::toString);
    Parameter stacked = parameters.get(names.indexOf("h.*.qkv.weight"));
    assertEquals(TensorType.of(DataType.F32, 2, 4, 12), stacked.type());
    assertEquals(List.of("h.0.qkv.weight", "h.1.qkv.weight"), stacked.sliceNames());
  }
}
