package dev.weft.core.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.grad.Autodiff;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Differentiable;
import dev.weft.core.op.Example;
import dev.weft.core.op.ExampleData;
import dev.weft.core.op.Expansion;
import dev.weft.core.op.OpTable;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Gradients are those of finite differences, in double precision. */
class GradientTest {
  private static final double STEP = 1e-5;
  private static final double TOLERANCE = 1e-6;

  /** Ops that are no part of a loss: no derivative flows through them by design. */
  private static final Set<String> NOT_DIFFERENTIABLE = Set.of("adamw", "sgd");

  @TestFactory
  Stream<DynamicNode> gradientsAreThoseOfFiniteDifferences() {
    return Cases.examples(
        example -> {
          if (!NOT_DIFFERENTIABLE.contains(example.op().name())) {
            check(example);
          }
        });
  }

  @Test
  void theExceptionsAreOpsOfTheTable() {
    assertTrue(OpTable.STANDARD.names().containsAll(NOT_DIFFERENTIABLE));
  }

  private static void check(Example example) {
    Op op = Widened.op(example.op());
    List<Literal> arguments =
        ExampleData.arguments(example, 7).stream().map(Widened::literal).toList();
    List<TensorType> types = Cases.types(arguments);
    List<TensorType> results = op.infer(types);
    List<Integer> inputs =
        floats(types).stream()
            .filter(i -> !(op instanceof Differentiable d && d.definesGradient(i)))
            .toList();
    List<Integer> outputs = floats(results);
    if (inputs.isEmpty() || outputs.isEmpty()) {
      return;
    }
    compare(op, arguments, results, inputs, outputs);
    // A gradient must also do with the cotangents of some outputs, for some inputs.
    for (int output : outputs.size() > 1 ? outputs : List.<Integer>of()) {
      compare(op, arguments, results, inputs, List.of(output));
    }
    for (int input : inputs.size() > 1 ? inputs : List.<Integer>of()) {
      compare(op, arguments, results, List.of(input), outputs);
    }
  }

  private static void compare(
      Op op,
      List<Literal> arguments,
      List<TensorType> results,
      List<Integer> inputs,
      List<Integer> outputs) {
    Graph forward = loss(op, Cases.types(arguments), results, outputs);
    Value loss = forward.outputValues().getFirst();
    List<Value> wanted = inputs.stream().map(forward.inputValues()::get).toList();
    Graph graph = Verifier.verify("autodiff", Autodiff.gradients(forward, loss, wanted, false));
    var all = new ArrayList<>(arguments);
    var random = new SplittableRandom(8);
    for (int i = arguments.size(); i < forward.inputs().size(); i++) {
      TensorType type = forward.inputValues().get(i).type();
      all.add(ExampleData.random(type, new Example.Domain(-1, 1), random));
    }
    List<Literal> found = Interpreter.run(graph, all);
    // Expanded once, for it is run twice per element.
    Graph expanded = Expansion.expand(forward, _ -> true);
    for (int i = 0; i < inputs.size(); i++) {
      int input = inputs.get(i);
      Literal gradient = found.get(1 + i);
      assertEquals(arguments.get(input).type(), gradient.type());
      for (int element = 0; element < gradient.elements(); element++) {
        double expected = difference(expanded, all, input, element);
        double actual = gradient.doubles()[element];
        int at = element;
        assertEquals(
            expected,
            actual,
            TOLERANCE * (1 + Math.abs(expected)),
            () -> "derivative by element " + at + " of argument " + input);
      }
    }
  }

  /** A weighted sum of all elements of some outputs; the weights are further inputs. */
  private static Graph loss(
      Op op, List<TensorType> types, List<TensorType> results, List<Integer> outputs) {
    var builder = new Builder("loss");
    var inputs = new ArrayList<Value>();
    for (TensorType type : types) {
      inputs.add(builder.input("x" + inputs.size(), type, Graph.Kind.DATA));
    }
    List<Value> made = builder.add(op, inputs);
    Tensor sum = null;
    for (int output : outputs) {
      Value weight = builder.input("weight" + output, results.get(output), Graph.Kind.DATA);
      Tensor part = new Tensor(builder, made.get(output)).times(new Tensor(builder, weight)).sum();
      sum = sum == null ? part : sum.plus(part);
    }
    assertNotNull(sum);
    builder.output(sum.value());
    return builder.build();
  }

  private static double difference(Graph forward, List<Literal> all, int input, int element) {
    return (shifted(forward, all, input, element, STEP)
            - shifted(forward, all, input, element, -STEP))
        / (2 * STEP);
  }

  private static double shifted(
      Graph forward, List<Literal> all, int input, int element, double step) {
    double[] values = all.get(input).doubles().clone();
    values[element] += step;
    var changed = new ArrayList<>(all);
    changed.set(input, Literal.of(all.get(input).type(), values));
    return Interpreter.run(forward, changed).getFirst().doubles()[0];
  }

  private static List<Integer> floats(List<TensorType> types) {
    return IntStream.range(0, types.size())
        .filter(i -> types.get(i).dtype() == DataType.F64)
        .boxed()
        .toList();
  }
}
