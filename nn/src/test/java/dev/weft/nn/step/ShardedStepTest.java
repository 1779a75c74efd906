package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.SumSquares;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Explanation;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.optimizer.Optimizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ShardedStepTest {
  private static final Optimizer ADAMW = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);

  // Weights are far smaller than activations, so that these are what stays in place.
  private static final StepGraphs GRAPHS =
      StepGraphs.of(new Gpt(), new ModelConfig(2, 16, 2, 64, 32, 0), 16, DataType.F32, ADAMW, 1);

  private static ShardedStep split(String mesh, int zero, int microBatches) {
    return ShardedStep.of(GRAPHS, Mesh.parse(mesh), zero, microBatches);
  }

  private static long parameterBytes() {
    return GRAPHS.parameters().stream().mapToLong(p -> p.type().bytes()).sum();
  }

  private static Explanation.Total total(Explanation explanation, Collective.Kind kind) {
    return Objects.requireNonNull(explanation.totals().get(kind));
  }

  /** What one graph leaves behind the next one takes as it lies. */
  @ParameterizedTest
  @CsvSource({"'data=2,model=2',0,1", "'data=2,model=2',1,3", "data=4,2,2", "'data=3',3,2"})
  void graphsHandLayoutsOn(String mesh, int zero, int microBatches) {
    ShardedStep step = split(mesh, zero, microBatches);
    int all = 0;
    ShardedStep.Half before = null;
    for (ShardedStep.Pass pass : step.passes()) {
      all += pass.count();
      for (int i = 0; i < GRAPHS.parameters().size(); i++) {
        Parameter parameter = GRAPHS.parameters().get(i);
        String name = parameter.name();
        assertEquals(step.update().input(name), pass.half().input(name), name);
        if (before != null) {
          Layout made = before.partitioned().outputs().get(2 + i);
          assertEquals(made, pass.half().input(name + ".sum"), name);
        }
        if (pass.count() > 1) {
          Layout made = pass.half().partitioned().outputs().get(2 + i);
          assertEquals(made, pass.half().input(name + ".sum"), name);
        }
      }
      before = pass.half();
    }
    assertEquals(microBatches, all);
    List<Layout> last = Objects.requireNonNull(before).partitioned().outputs();
    for (int i = 0; i < GRAPHS.parameters().size(); i++) {
      String name = GRAPHS.parameters().get(i).name();
      assertEquals(last.get(2 + i), step.norm().input(name + ".sum"), name);
      assertEquals(last.get(2 + i), step.update().input(name + ".sum"), name);
      assertEquals(step.update().input(name), step.evaluate().input(name), name);
    }
    // Parameters and slots lie as they did when the step is over.
    List<Layout> outputs = step.update().partitioned().outputs();
    for (int i = 0; i < outputs.size(); i++) {
      var donated = Objects.requireNonNull(step.update().program().outputs().get(i).donated());
      assertEquals(step.update().input(donated.name()), outputs.get(i), donated.name());
    }
  }

  @Test
  void dataParallelReducesEveryGradientOnce() {
    Explanation explanation = split("data=4", 0, 1).explanation();
    long bytes = 0;
    for (CollectiveUse use : explanation.collectives()) {
      assertEquals(Collective.Kind.ALL_REDUCE, use.op().kind(), use::toString);
      if (use.local().rank() > 0) {
        assertEquals(Role.WEIGHT_GRADIENT, use.role(), use::toString);
        bytes += use.totalBytes();
      }
    }
    // The token table has two gradients, as table and as head.
    long table = GRAPHS.parameters().getFirst().type().bytes();
    assertTrue(bytes >= 2 * parameterBytes() * 3 / 4, () -> explanation.collectives().toString());
    assertTrue(
        bytes <= 2 * (parameterBytes() + table) * 3 / 4,
        () -> explanation.collectives().toString());
  }

  /** Megatron's layout: two sums of activations per block forward, two backward. */
  @Test
  void tensorParallelReducesTwiceEachWay() {
    // Weights are larger than activations.
    var config = new ModelConfig(2, 64, 4, 16, 32, 0);
    StepGraphs wide = StepGraphs.of(new Gpt(), config, 2, DataType.F32, ADAMW, 1);
    Explanation explanation = ShardedStep.of(wide, Mesh.parse("model=2"), 0, 1).explanation();
    int blocks = 2;
    assertEquals(2 * blocks, sums(explanation, Role.FORWARD, "h\\..*"));
    assertEquals(2 * blocks, sums(explanation, Role.INPUT_GRADIENT, ".*"));
    assertEquals(0, sums(explanation, Role.WEIGHT_GRADIENT, ".*"));
  }

  /** How often rounds all-reduce activations [2, 16, 64]. */
  private static long sums(Explanation explanation, Role role, String value) {
    return explanation.collectives().stream()
        .filter(u -> u.op().kind() == Collective.Kind.ALL_REDUCE)
        .filter(u -> u.global().elements() == 2 * 16 * 64 && u.count() > 1)
        .filter(u -> u.role() == role && u.value().matches(value))
        .mapToLong(CollectiveUse::count)
        .sum();
  }

  @Test
  void zeroScattersGradientsAndGathersWeights() {
    for (int zero = 1; zero <= 2; zero++) {
      Explanation explanation = split("data=4", zero, 1).explanation();
      for (CollectiveUse use : explanation.collectives()) {
        assertTrue(
            use.op().kind() != Collective.Kind.ALL_REDUCE || use.local().rank() == 0,
            use::toString);
      }
      long scattered = total(explanation, Collective.Kind.REDUCE_SCATTER).bytes();
      assertTrue(scattered >= parameterBytes() * 3 / 4, explanation::toString);
      long gathered =
          explanation.collectives().stream()
              .filter(u -> u.op().kind() == Collective.Kind.ALL_GATHER)
              .filter(u -> u.role() == Role.UPDATE)
              .mapToLong(CollectiveUse::totalBytes)
              .sum();
      assertEquals(parameterBytes() * 3 / 4, gathered);
    }
  }

  /** The token table has two gradients, as table and as head: one sum of both is scattered. */
  @Test
  void zeroOfStage2ScattersEveryGradientOnceInAMicroBatch() {
    for (ShardedStep.Pass pass : split("data=4", 2, 3).passes()) {
      long scattered = 0;
      for (CollectiveUse use : pass.half().partitioned().collectives()) {
        boolean scatters = use.op().kind() == Collective.Kind.REDUCE_SCATTER;
        assertTrue(scatters || use.local().rank() == 0, use::toString);
        scattered += scatters ? use.totalBytes() : 0;
      }
      assertEquals(parameterBytes() * 3 / 4, scattered);
    }
  }

  /** What is added onto accumulators last comes to the same. */
  @ParameterizedTest
  @ValueSource(strings = {"gpt", "moe"})
  void lateAccumulationChangesNoSum(String model) {
    var config = new ModelConfig(2, 8, 2, 4, 10, 0);
    Graph graph =
        StepGraphs.of(
                model.equals("gpt") ? new Gpt() : new Moe(), config, 2, DataType.F64, ADAMW, 1)
            .microNext();
    var random = new Random(3);
    var inputs = new ArrayList<Literal>();
    for (Value input : graph.inputValues()) {
      int elements = Math.toIntExact(input.type().elements());
      inputs.add(
          input.dtype().isFloat()
              ? Literal.of(input.type(), random.doubles(elements, -1, 1).toArray())
              : Literal.of(input.type(), random.longs(elements, 0, 9).toArray()));
    }
    Graph late = LateAccumulation.of(graph);
    assertNotEquals(GraphText.print(graph), GraphText.print(late));
    List<Literal> expected = Interpreter.run(graph, inputs);
    List<Literal> found = Interpreter.run(Verifier.verify("late", late), inputs);
    for (int i = 0; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i).doubles(), found.get(i).doubles(), 1e-9);
    }
  }

  @Test
  void zeroOfStage3GathersLayerByLayer() {
    ShardedStep step = split("data=4", 3, 1);
    assertTrue(step.update().partitioned().collectives().isEmpty());
    for (CollectiveUse use : step.explanation().collectives()) {
      // No layers are gathered together: what is gathered has no dim of layers.
      assertTrue(
          use.op().kind() != Collective.Kind.ALL_GATHER || !use.value().contains("*"),
          use::toString);
    }
  }

  /** Gradients are read where they lie: all that the norm makes, and sends, are numbers. */
  @ParameterizedTest
  @CsvSource({"'data=2,model=2',0", "'data=2,model=2',1", "data=4,2", "data=4,3", "model=2,0"})
  void theNormOfAGradientMakesNumbersOnly(String mesh, int zero) {
    Graph norm = split(mesh, zero, 2).norm().partitioned().graph();
    assertTrue(norm.nodes().stream().anyMatch(node -> node.op() instanceof SumSquares));
    for (Node node : norm.nodes()) {
      node.outputs().forEach(value -> assertEquals(1, value.type().elements(), value::toString));
    }
    for (Node sent : Collective.in(norm)) {
      assertEquals(1, sent.input(0).type().elements(), sent::toString);
    }
  }

  @Test
  void axesThatNoAnnotationNamesAreRefused() {
    String message =
        assertThrows(UserException.class, () -> split("data=2,pipe=2", 0, 1)).getMessage();
    assertTrue(message.contains("pipe") && message.contains("data, model, sequence"), message);
    assertThrows(UserException.class, () -> split("data=2", 4, 1));
  }
}
