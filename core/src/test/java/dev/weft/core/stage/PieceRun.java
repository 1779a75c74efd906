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
import dev.weft.core.interpret.LockStep;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Work;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/** Runs pieces in order over micro-batches, connecting values by their names alone. */
final class PieceRun {
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
    List<Map<String, List<Literal>>> accumulators = new ArrayList<>();
    pieces.forEach(_ -> accumulators.add(new HashMap<>()));
    Map<String, Literal> sums = new LinkedHashMap<>();
    for (int micro = 0; micro < batches.size(); micro++) {
      var run =
          new PieceRun(
              Objects.requireNonNull(batches.get(micro)), accumulators, first && micro == 0);
      for (PieceGraphs piece : pieces) {
        run.run(piece, Work.FORWARD);
      }
      for (PieceGraphs piece : pieces.reversed()) {
        for (Work work :
            List.of(Work.RECOMPUTE, Work.BACKWARD, Work.INPUT_GRADIENT, Work.WEIGHT_GRADIENT)) {
          if (piece.graphs().containsKey(work)) {
            run.run(piece, work);
          }
        }
      }
      for (Value output : model.graph().outputValues()) {
        PieceGraphs piece = Objects.requireNonNull(run.makers.get(output.name()), output::name);
        List<Literal> tiles = Objects.requireNonNull(run.values.get(output.name()));
        add(sums, output.name(), gathered(piece, output.name(), tiles));
      }
    }
    for (PieceGraphs piece : pieces) {
      accumulators
          .get(piece.piece())
          .forEach((name, tiles) -> add(sums, name, gathered(piece, name, tiles)));
    }
    return sums;
  }

  private final Map<String, Literal> batch;
  private final List<Map<String, List<Literal>>> accumulators;
  private final boolean unseeded;

  /** What was made so far, on each device, and by whom. */
  private final Map<String, List<Literal>> values = new HashMap<>();

  private final Map<String, PieceGraphs> makers = new HashMap<>();

  private PieceRun(
      Map<String, Literal> batch, List<Map<String, List<Literal>>> accumulators, boolean unseeded) {
    this.batch = batch;
    this.accumulators = accumulators;
    this.unseeded = unseeded;
  }

  private static Literal gathered(PieceGraphs piece, String name, List<Literal> tiles) {
    PieceGraphs.Held held = piece.held(name, tiles.getFirst().type());
    return LockStep.gather(held.type(), tiles, held.layout(), piece.mesh());
  }

  private List<Literal> input(
      PieceGraphs piece, Work work, Graph.Input input, Map<String, List<Literal>> accumulated) {
    Value value = input.value();
    String name = value.name();
    if (input.kind() == Graph.Kind.ACCUMULATOR) {
      return accumulated.computeIfAbsent(
          name, _ -> Collections.nCopies(piece.mesh().size(), Literal.filled(value.type(), 0)));
    }
    List<Literal> made = values.get(name);
    if (made != null) {
      return made;
    }
    Literal literal = batch.get(name);
    assertTrue(literal != null, () -> work + " of piece " + piece.piece() + " needs " + value);
    return LockStep.scatter(
        Objects.requireNonNull(literal), piece.held(value).layout(), piece.mesh());
  }

  private void run(PieceGraphs piece, Work work) {
    Graph plain = Objects.requireNonNull(piece.graphs().get(work));
    Graph graph = unseeded ? piece.first().getOrDefault(work, plain) : plain;
    Map<String, List<Literal>> accumulated = accumulators.get(piece.piece());
    var inputs = new ArrayList<List<Literal>>();
    for (Graph.Input input : graph.inputs()) {
      inputs.add(input(piece, work, input, accumulated));
    }
    List<List<Literal>> devices = new ArrayList<>();
    for (int device = 0; device < piece.mesh().size(); device++) {
      int at = device;
      devices.add(inputs.stream().map(tiles -> tiles.get(at)).toList());
    }
    List<List<Literal>> results = LockStep.run(graph, piece.mesh(), devices);
    for (int i = 0; i < graph.outputs().size(); i++) {
      int index = i;
      List<Literal> tiles = results.stream().map(device -> device.get(index)).toList();
      Graph.Output output = graph.outputs().get(i);
      Value donated = output.donated();
      String name = output.value().name();
      if (donated != null) {
        accumulated.put(donated.name(), tiles);
      } else if (name.endsWith(".sum") && work != Work.FORWARD && work != Work.RECOMPUTE) {
        accumulated.put(name, tiles);
      } else {
        List<Literal> before = values.put(name, tiles);
        assertTrue(before == null, () -> name + " is made twice");
        makers.put(name, piece);
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
