package dev.weft.core.programs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Spec;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.Shard;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

class ProgramsTest {
  private static final List<Program> PROGRAMS = Program.ALL;
  private static final List<Program> STEPS =
      Program.ALL.stream().filter(p -> p.name().contains("_step")).toList();

  @ParameterizedTest
  @FieldSource("PROGRAMS")
  void programsAreWhole(Program program) {
    Graph graph = Verifier.verify("reading", program.graph());
    assertEquals(program.name(), graph.name());
    Map<Value, Spec> written = Shard.ofInputs(graph);
    assertEquals(List.copyOf(written.keySet()), graph.inputValues());
    Map<Value, Node> producers = graph.producers();
    for (Value output : graph.outputValues()) {
      assertTrue(output.type().rank() == 0 || producers.get(output).op() instanceof Shard);
    }
    for (Node node : graph.nodes()) {
      assertTrue(node.origin().source().matches("\\w+\\.txt:[0-9]+"), node::toString);
    }
    assertEquals(GraphText.print(graph), GraphText.print(GraphText.parse(GraphText.print(graph))));
    for (Spec spec : written.values()) {
      for (String axis : spec.axes()) {
        assertTrue(program.mesh().axis(axis).isPresent(), axis);
      }
    }
    assertTrue(program.best() <= program.xlaBytes());
    program.byHand().ifPresent(bytes -> assertTrue(bytes <= program.best()));
  }

  @Test
  void sevenProgramsHavePlansByHand() {
    assertEquals(7, Program.ALL.stream().filter(p -> p.byHand().isPresent()).count());
  }

  private static List<Literal> arguments(Graph graph) {
    var random = new Random(7);
    var arguments = new ArrayList<Literal>();
    for (Value value : graph.inputValues()) {
      int n = Math.toIntExact(value.type().elements());
      arguments.add(
          value.dtype().isFloat()
              ? Literal.of(value.type(), random.doubles(n, -1, 1).toArray())
              : Literal.of(value.type(), random.longs(n, 0, 11).toArray()));
    }
    return arguments;
  }

  @ParameterizedTest
  @FieldSource("PROGRAMS")
  void smallCopiesRun(Program program) {
    Graph graph = Verifier.verify("reading", program.small());
    for (Literal result : Interpreter.run(graph, arguments(graph))) {
      assertTrue(Arrays.stream(result.doubles()).allMatch(Double::isFinite));
      assertFalse(Arrays.stream(result.doubles()).allMatch(x -> x == 0));
    }
  }

  /**
   * What a step takes off a parameter is a tenth of the loss's derivative by finite differences.
   */
  @ParameterizedTest
  @FieldSource("STEPS")
  void stepsDescend(Program program) {
    Graph graph = program.small();
    List<Literal> arguments = arguments(graph);
    List<Literal> results = Interpreter.run(graph, arguments);
    int inputs = arguments.size();
    // The last results are the inputs after x and y, changed.
    for (int input = 2; input < inputs; input++) {
      double[] before = arguments.get(input).doubles();
      double[] after = results.get(results.size() - inputs + input).doubles();
      for (int element : new int[] {0, before.length / 2, before.length - 1}) {
        double expected = derivative(graph, arguments, input, element);
        assertEquals(
            expected,
            (before[element] - after[element]) / 0.1,
            1e-5 * (1 + Math.abs(expected)),
            graph.inputValues().get(input) + " at " + element);
      }
    }
    if (results.size() == inputs) {
      // Of a step that returns the derivative by x, that stands behind the loss.
      assertEquals(
          derivative(graph, arguments, 0, 3), results.get(1).doubles()[3], 1e-6, program::name);
    }
  }

  private static double derivative(Graph graph, List<Literal> arguments, int input, int element) {
    double[] loss = new double[2];
    for (int side = 0; side < 2; side++) {
      double[] values = arguments.get(input).doubles().clone();
      values[element] += side == 0 ? -1e-5 : 1e-5;
      var changed = new ArrayList<>(arguments);
      changed.set(input, Literal.of(arguments.get(input).type(), values));
      loss[side] = Interpreter.run(graph, changed).getFirst().doubles()[0];
    }
    return (loss[1] - loss[0]) / 2e-5;
  }
}
