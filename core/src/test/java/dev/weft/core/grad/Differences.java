package dev.weft.core.grad;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Expansion;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Trace;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.function.Function;

/** Compares gradients of whole models with finite differences, by the interpreter. */
final class Differences {
  private static final double STEP = 1e-5;
  private static final double TOLERANCE = 1e-6;

  private Differences() {}

  /** A model in f64 that reads {@code x [2, 3]} and gives a scalar. */
  static Graph trace(Function<Scope, Function<Tensor, Tensor>> model) {
    var data = new LinkedHashMap<String, TensorType>();
    data.put("x", TensorType.of(DataType.F64, 2, 3));
    return Trace.trace(
            "model",
            DataType.F64,
            true,
            data,
            (scope, batch) ->
                List.of(model.apply(scope).apply(Objects.requireNonNull(batch.get("x")))))
        .graph();
  }

  /** Random floats between -1 and 1, small whole numbers. */
  static List<Literal> arguments(Graph graph, long seed) {
    var random = new Random(seed);
    var arguments = new ArrayList<Literal>();
    for (Value value : graph.inputValues()) {
      int elements = Math.toIntExact(value.type().elements());
      arguments.add(
          value.dtype().isFloat()
              ? Literal.of(
                  value.type(),
                  random.doubles(elements, -1, 1).map(x -> round(value.dtype(), x)).toArray())
              : Literal.of(value.type(), random.longs(elements, 0, 3).toArray()));
    }
    return arguments;
  }

  private static double round(DataType dtype, double x) {
    return dev.weft.core.op.Rounding.round(dtype, x);
  }

  /** Checks all float inputs' gradients of the first output, as they come and optimized. */
  static Graph check(Graph forward) {
    Value loss = forward.outputValues().getFirst();
    List<Value> wanted =
        forward.inputValues().stream().filter(v -> v.dtype() == DataType.F64).toList();
    Graph raw = Verifier.verify("autodiff", Autodiff.gradients(forward, loss, wanted, false));
    Graph optimized = Optimize.optimize(raw);
    List<Literal> arguments = arguments(forward, 5);
    List<Literal> found = Interpreter.run(raw, arguments);
    assertClose(found, Interpreter.run(optimized, arguments));
    Graph expanded = Expansion.expand(forward, _ -> true);
    int outputs = forward.outputs().size();
    for (int i = 0; i < wanted.size(); i++) {
      int input = forward.inputValues().indexOf(wanted.get(i));
      double[] gradient = found.get(outputs + i).doubles();
      for (int element = 0; element < gradient.length; element++) {
        double up = shifted(expanded, arguments, input, element, STEP);
        double down = shifted(expanded, arguments, input, element, -STEP);
        double expected = (up - down) / (2 * STEP);
        int at = element;
        Value by = wanted.get(i);
        assertEquals(
            expected,
            gradient[element],
            TOLERANCE * (1 + Math.abs(expected)),
            () -> "derivative by element " + at + " of " + by);
      }
    }
    return optimized;
  }

  static void assertClose(List<Literal> expected, List<Literal> found) {
    assertEquals(expected.size(), found.size());
    for (int i = 0; i < expected.size(); i++) {
      assertEquals(expected.get(i).type(), found.get(i).type());
      for (int element = 0; element < expected.get(i).elements(); element++) {
        double wanted = expected.get(i).asDouble(element);
        int output = i;
        assertEquals(
            wanted,
            found.get(i).asDouble(element),
            1e-9 * (1 + Math.abs(wanted)),
            () -> "output " + output);
      }
    }
  }

  private static double shifted(
      Graph forward, List<Literal> arguments, int input, int element, double step) {
    double[] values = arguments.get(input).doubles().clone();
    values[element] += step;
    var changed = new ArrayList<>(arguments);
    changed.set(input, Literal.of(arguments.get(input).type(), values));
    return Interpreter.run(forward, changed).getFirst().doubles()[0];
  }
}
