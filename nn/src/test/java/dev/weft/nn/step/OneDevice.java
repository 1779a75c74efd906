package dev.weft.nn.step;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.trace.Parameter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;

/**
 * A step of a model on one device, in plain Java: what pipelines are held against.
 *
 * @param losses of the micro-batches
 * @param weights of these
 * @param gradients by parameter, all micro-batches added
 * @param parameters after the update
 */
record OneDevice(
    List<Double> losses,
    List<Double> weights,
    Map<String, Literal> gradients,
    double norm,
    Map<String, Literal> parameters) {
  static final double RATE = 0.3;
  static final long STEP = 3;

  static OneDevice run(StepGraphs graphs, Map<String, TensorType> data, int microBatches) {
    var values = new HashMap<String, Literal>();
    graphs.parameters().forEach(p -> values.put(p.name(), initial(p)));
    var losses = new ArrayList<Double>();
    var weights = new ArrayList<Double>();
    for (int m = 0; m < microBatches; m++) {
      Graph micro = m == 0 ? graphs.micro() : graphs.microNext();
      for (Graph.Input input : micro.inputs()) {
        switch (input.kind()) {
          case DATA, FACT -> values.put(input.value().name(), fed(input.value(), m, rows(data)));
          case PARAMETER, STATE, ACCUMULATOR -> {}
        }
      }
      List<Literal> results = run(micro, values);
      losses.add(results.get(0).asDouble(0));
      weights.add(results.get(1).asDouble(0));
      for (int i = 0; i < graphs.parameters().size(); i++) {
        values.put(graphs.parameters().get(i).name() + ".sum", results.get(2 + i));
      }
    }
    var gradients = new HashMap<String, Literal>();
    graphs
        .parameters()
        .forEach(
            p -> gradients.put(p.name(), Objects.requireNonNull(values.get(p.name() + ".sum"))));
    values.put("weight", number(weights.stream().mapToDouble(Double::doubleValue).sum()));
    List<Literal> norm = run(graphs.norm(), values);
    values.put("divisor", norm.get(1));
    values.put("learning_rate", number(RATE));
    values.put("step", number(STEP));
    values.put(StepGraphs.MICRO_BATCHES, number(microBatches));
    for (Graph.Input input : graphs.update().inputs()) {
      if (input.kind() == Graph.Kind.STATE) {
        values.put(input.value().name(), Literal.filled(input.value().type(), 0));
      }
    }
    List<Literal> updated = run(graphs.update(), values);
    var parameters = new HashMap<String, Literal>();
    for (int i = 0; i < updated.size(); i++) {
      Value donated = Objects.requireNonNull(graphs.update().outputs().get(i).donated());
      parameters.put(donated.name(), updated.get(i));
    }
    return new OneDevice(losses, weights, gradients, norm.getFirst().asDouble(0), parameters);
  }

  private static List<Literal> run(Graph graph, Map<String, Literal> values) {
    return Interpreter.run(
        graph,
        graph.inputValues().stream()
            .map(v -> Objects.requireNonNull(values.get(v.name()), v.name()))
            .toList());
  }

  static Literal number(double number) {
    return Literal.scalar(DataType.F32, (float) number);
  }

  /** Rows of a micro-batch. */
  static long rows(Map<String, TensorType> data) {
    return data.values().iterator().next().size(0);
  }

  /** A parameter as it starts, with some noise where it starts at one number. */
  static Literal initial(Parameter parameter) {
    double[] values = Tensors.initial(parameter, 3);
    long first = parameter.firstElement();
    for (int i = 0; i < values.length; i++) {
      values[i] += 0.1 * Math.sin(first + i + parameter.name().length());
    }
    return Literal.of(parameter.type(), values);
  }

  /** Facts, and data that depends on nothing but name and micro-batch. */
  static Literal fed(Value input, int microBatch, long rows) {
    return fed(input.name(), input.type(), microBatch, rows);
  }

  static Literal fed(String name, TensorType type, int microBatch, long rows) {
    return switch (name) {
      case "seed" -> Literal.scalar(type.dtype(), 11);
      case "step" -> Literal.scalar(type.dtype(), STEP);
      case "row" -> Literal.scalar(type.dtype(), microBatch * rows);
      default -> {
        var random = new SplittableRandom(31L * microBatch + name.hashCode());
        yield type.dtype().isFloat()
            ? Literal.of(type, random.doubles(type.elements(), -2, 2).toArray())
            : Literal.of(type, random.longs(type.elements(), 0, 3).toArray());
      }
    };
  }
}
