package dev.weft.core.stage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.grad.Autodiff;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Work;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/** Runs pieces in order over micro-batches, connecting values by their names alone. */
final class PieceRun {
  private PieceRun() {}

  /** The loss, its weight, then the gradients of the parameters, summed over micro-batches. */
  static Map<String, Literal> oneDevice(Traced model, List<Map<String, Literal>> batches) {
    Graph forward = model.graph();
    List<Value> parameters = forward.inputs(Graph.Kind.PARAMETER);
    Graph graph = Autodiff.gradients(forward, forward.outputValues().getFirst(), parameters, false);
    Map<String, Literal> sums = new LinkedHashMap<>();
    for (Map<String, Literal> batch : batches) {
      List<Literal> results =
          Interpreter.run(
              graph,
              graph.inputValues().stream()
                  .map(v -> Objects.requireNonNull(batch.get(v.name())))
                  .toList());
      for (int i = 0; i < results.size(); i++) {
        String name =
            i < 2 ? forward.outputValues().get(i).name() : parameters.get(i - 2).name() + ".sum";
        add(sums, name, results.get(i));
      }
    }
    return sums;
  }

  /**
   * The same by pieces.
   *
   * @param first whether the first micro-batch runs what needs no accumulators
   */
  static Map<String, Literal> pieces(
      Traced model, List<PieceGraphs> pieces, List<Map<String, Literal>> batches, boolean first) {
    List<Map<String, Literal>> accumulators = new ArrayList<>();
    pieces.forEach(_ -> accumulators.add(new HashMap<>()));
    Map<String, Literal> sums = new LinkedHashMap<>();
    for (int micro = 0; micro < batches.size(); micro++) {
      Map<String, Literal> values = new HashMap<>(Objects.requireNonNull(batches.get(micro)));
      boolean unseeded = first && micro == 0;
      for (PieceGraphs piece : pieces) {
        run(piece, Work.FORWARD, values, accumulators, unseeded);
      }
      for (PieceGraphs piece : pieces.reversed()) {
        for (Work work :
            List.of(Work.RECOMPUTE, Work.BACKWARD, Work.INPUT_GRADIENT, Work.WEIGHT_GRADIENT)) {
          if (piece.graphs().containsKey(work)) {
            run(piece, work, values, accumulators, unseeded);
          }
        }
      }
      for (Value output : model.graph().outputValues()) {
        add(sums, output.name(), Objects.requireNonNull(values.get(output.name()), output::name));
      }
    }
    for (Map<String, Literal> accumulated : accumulators) {
      accumulated.forEach((name, literal) -> add(sums, name, literal));
    }
    return sums;
  }

  private static void run(
      PieceGraphs piece,
      Work work,
      Map<String, Literal> values,
      List<Map<String, Literal>> accumulators,
      boolean unseeded) {
    Graph plain = Objects.requireNonNull(piece.graphs().get(work));
    Graph graph = unseeded ? piece.first().getOrDefault(work, plain) : plain;
    Map<String, Literal> accumulated = accumulators.get(piece.piece());
    var arguments = new ArrayList<Literal>();
    for (Graph.Input input : graph.inputs()) {
      Value value = input.value();
      Literal literal;
      if (input.kind() == Graph.Kind.ACCUMULATOR) {
        literal = accumulated.computeIfAbsent(value.name(), _ -> Literal.filled(value.type(), 0));
      } else {
        literal =
            Objects.requireNonNull(
                values.get(value.name()),
                () -> work + " of piece " + piece.piece() + " needs " + value);
      }
      arguments.add(literal);
    }
    List<Literal> results = Interpreter.run(graph, arguments);
    for (int i = 0; i < results.size(); i++) {
      Graph.Output output = graph.outputs().get(i);
      Value donated = output.donated();
      String name = output.value().name();
      if (donated != null) {
        accumulated.put(donated.name(), results.get(i));
      } else if (name.endsWith(".sum") && work != Work.FORWARD && work != Work.RECOMPUTE) {
        accumulated.put(name, results.get(i));
      } else {
        Literal before = values.put(name, results.get(i));
        assertTrue(before == null, () -> name + " is made twice");
      }
    }
  }

  private static void add(Map<String, Literal> sums, String name, Literal more) {
    Literal before = sums.get(name);
    if (before == null) {
      sums.put(name, more);
      return;
    }
    double[] sum = before.doubles().clone();
    for (int i = 0; i < sum.length; i++) {
      sum[i] += more.doubles()[i];
    }
    sums.put(name, Literal.of(more.type(), sum));
  }

  /** Random data, parameters that stay, facts that change. */
  static List<Map<String, Literal>> batches(Graph graph, int count, long seed) {
    var random = new Random(seed);
    Map<String, Literal> fixed = new HashMap<>();
    var batches = new ArrayList<Map<String, Literal>>();
    for (int micro = 0; micro < count; micro++) {
      Map<String, Literal> batch = new HashMap<>();
      for (Graph.Input input : graph.inputs()) {
        Value value = input.value();
        Literal literal = random(value.type(), random);
        if (input.kind() == Graph.Kind.PARAMETER) {
          literal = fixed.computeIfAbsent(value.name(), _ -> random(value.type(), random));
        }
        batch.put(value.name(), literal);
      }
      batch.computeIfPresent("row", (_, row) -> Literal.scalar(row.type().dtype(), 4));
      int offset = 4 * micro;
      batch.computeIfPresent("row", (_, _) -> Literal.scalar(DataType.I64, offset));
      batches.add(batch);
    }
    return batches;
  }

  private static Literal random(TensorType type, Random random) {
    int elements = Math.toIntExact(type.elements());
    return type.dtype().isFloat()
        ? Literal.of(type, random.doubles(elements, -1, 1).toArray())
        : Literal.of(type, random.longs(elements, 0, 3).toArray());
  }

  static void assertSame(Map<String, Literal> expected, Map<String, Literal> found) {
    assertEquals(expected.keySet(), found.keySet());
    for (String name : expected.keySet()) {
      double[] right = Objects.requireNonNull(expected.get(name)).doubles();
      double[] own = Objects.requireNonNull(found.get(name)).doubles();
      double scale = 1;
      for (double number : right) {
        scale = Math.max(scale, Math.abs(number));
      }
      for (int i = 0; i < right.length; i++) {
        assertEquals(right[i], own[i], 1e-10 * scale, name);
      }
    }
  }
}
