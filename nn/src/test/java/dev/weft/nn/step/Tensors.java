package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Rounding;
import dev.weft.core.trace.Parameter;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/** Tensors by name: what a trainer keeps, in plain Java. */
final class Tensors {
  private final Map<String, Literal> values = new HashMap<>();

  void put(String name, Literal literal) {
    values.put(name, literal);
  }

  Literal get(String name) {
    return Objects.requireNonNull(values.get(name), name);
  }

  /** Rounds a tensor to a type. */
  void round(String name, DataType dtype) {
    Literal wide = get(name);
    put(
        name,
        Literal.of(
            wide.type().with(dtype),
            Arrays.stream(wide.doubles()).map(x -> Rounding.round(dtype, x)).toArray()));
  }

  void fact(String name, long number) {
    put(name, Literal.scalar(DataType.I64, number));
  }

  void number(String name, double number) {
    put(name, Literal.scalar(DataType.F32, (float) number));
  }

  void whole(String name, long[] sizes, long... numbers) {
    put(name, Literal.of(TensorType.of(DataType.I64, sizes), numbers));
  }

  void zeros(String name, TensorType type) {
    put(name, Literal.filled(type, 0));
  }

  /** Parameters as they start; those that start at one number get some noise. */
  void initialize(List<Parameter> parameters) {
    for (Parameter parameter : parameters) {
      double[] values = initial(parameter, 3);
      for (int i = 0; i < values.length; i++) {
        values[i] += 0.1 * Math.sin(i + parameter.name().length());
      }
      put(parameter.name(), Literal.of(parameter.type(), values));
    }
  }

  static double[] initial(Parameter parameter, long seed) {
    TensorType type = parameter.type();
    int elements = Math.toIntExact(type.elements());
    double[] values = new double[elements];
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = arena.allocate(type.bytes(), 8);
      Initialization.fill(parameter, seed, memory);
      for (int i = 0; i < elements; i++) {
        values[i] =
            type.dtype() == DataType.F64
                ? memory.getAtIndex(ValueLayout.JAVA_DOUBLE, i)
                : memory.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      }
    }
    return values;
  }

  /** Runs a graph on the tensors named as its inputs; donated ones take the new values. */
  List<Literal> run(Graph graph) {
    var arguments = new ArrayList<Literal>();
    for (Value input : graph.inputValues()) {
      arguments.add(get(input.name()));
    }
    List<Literal> results = Interpreter.run(graph, arguments);
    for (int i = 0; i < results.size(); i++) {
      Value donated = graph.outputs().get(i).donated();
      if (donated != null) {
        put(donated.name(), results.get(i));
      }
    }
    return results;
  }

  /**
   * Checks the gradients of a step by central differences of its loss along random directions, some
   * for each trained parameter: an element that is wrong shows in all of them.
   */
  void checkGradients(StepGraphs graphs) {
    double step = 1e-6;
    List<Literal> found = run(graphs.micro());
    var random = new Random(6);
    for (int i = 0; i < graphs.parameters().size(); i++) {
      if (graphs.parameters().get(i).averaged()) {
        continue;
      }
      String name = graphs.parameters().get(i).name();
      double[] gradient = found.get(2 + i).doubles();
      for (int round = 0; round < 3; round++) {
        double[] direction = random.doubles(gradient.length, -2, 2).toArray();
        double slope = 0;
        for (int element = 0; element < gradient.length; element++) {
          slope += gradient[element] * direction[element];
        }
        double up = lossAfter(graphs, name, direction, step);
        double down = lossAfter(graphs, name, direction, -step);
        double expected = (up - down) / (2 * step);
        assertEquals(expected, slope, 1e-6 * (1 + Math.abs(expected)), name);
      }
    }
  }

  private double lossAfter(StepGraphs graphs, String name, double[] direction, double step) {
    Literal before = get(name);
    double[] moved = before.doubles().clone();
    for (int element = 0; element < moved.length; element++) {
      moved[element] += step * direction[element];
    }
    put(name, Literal.of(before.type(), moved));
    double loss = run(graphs.micro()).getFirst().doubles()[0];
    put(name, before);
    return loss;
  }
}
