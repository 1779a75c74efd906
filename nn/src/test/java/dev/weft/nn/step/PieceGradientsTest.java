package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.grad.Autodiff;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.Shard;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Work;
import dev.weft.core.stage.Fragments;
import dev.weft.core.stage.Piece;
import dev.weft.core.stage.Recomputation;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Traced;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.Moe;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Models in pieces have the gradients that they have whole, whatever is kept and made again. */
class PieceGradientsTest {
  private static final int MICRO_BATCHES = 2;

  private static Traced model(String name) {
    return switch (name) {
      case "gpt" -> SmallModels.tokens(new Gpt(), 4, DataType.F64);
      case "moe" -> SmallModels.tokens(new Moe(), 2, DataType.F64);
      default -> SmallModels.unet();
    };
  }

  /** Adds numbers under each layer's name. */
  private static void add(Map<String, double[]> sums, List<String> names, Literal more) {
    double[] numbers = more.doubles();
    int size = numbers.length / names.size();
    for (int i = 0; i < numbers.length; i++) {
      sums.computeIfAbsent(names.get(i / size), _ -> new double[size])[i % size] += numbers[i];
    }
  }

  private static Map<String, double[]> whole(Traced model) {
    Graph forward = Shard.erase(model.graph());
    List<Value> parameters = forward.inputs(Graph.Kind.PARAMETER);
    Graph graph = Autodiff.gradients(forward, forward.outputValues().getFirst(), parameters, false);
    var sums = new HashMap<String, double[]>();
    for (int micro = 0; micro < MICRO_BATCHES; micro++) {
      Map<String, Literal> values = SmallModels.batch(model, 5 + micro);
      model.parameters().forEach(p -> values.put(p.key(), SmallModels.initial(p)));
      List<Literal> results =
          Interpreter.run(
              graph,
              graph.inputValues().stream()
                  .map(v -> Objects.requireNonNull(values.get(v.name()), v.name()))
                  .toList());
      for (int i = 0; i < results.size(); i++) {
        List<String> names =
            i < 2
                ? List.of(model.graph().outputValues().get(i).name())
                : model.parameters().get(i - 2).sliceNames();
        add(sums, names, results.get(i));
      }
    }
    return sums;
  }

  /** Runs pieces by the names of what they take and give alone. */
  private static Map<String, double[]> pieces(
      Traced model, List<Piece> pieces, List<PieceGraphs> graphs) {
    var sums = new HashMap<String, double[]>();
    var accumulated = new HashMap<String, List<Literal>>();
    for (int micro = 0; micro < MICRO_BATCHES; micro++) {
      Map<String, Literal> given = SmallModels.batch(model, 5 + micro);
      var made = new HashMap<String, List<Literal>>();
      for (int i = 0; i < pieces.size(); i++) {
        run(pieces.get(i), graphs.get(i), Work.FORWARD, given, made, accumulated);
        PieceGraphs piece = graphs.get(i);
        for (String name : pieces.get(i).returned()) {
          List<Literal> tiles = Objects.requireNonNull(made.get(name), name);
          add(sums, List.of(name), gathered(piece, name, tiles));
        }
      }
      for (int i = pieces.size() - 1; i >= 0; i--) {
        for (Work work :
            List.of(Work.RECOMPUTE, Work.BACKWARD, Work.INPUT_GRADIENT, Work.WEIGHT_GRADIENT)) {
          if (graphs.get(i).graphs().containsKey(work)) {
            run(pieces.get(i), graphs.get(i), work, given, made, accumulated);
          }
        }
      }
    }
    for (Piece piece : pieces) {
      for (Parameter parameter : piece.parameters()) {
        String name = parameter.key() + ".sum";
        List<Literal> tiles =
            Objects.requireNonNull(accumulated.get(piece.number() + " " + name), name);
        add(sums, parameter.sliceNames(), gathered(graphs.get(piece.number()), name, tiles));
      }
    }
    return sums;
  }

  private static Literal gathered(PieceGraphs piece, String name, List<Literal> tiles) {
    PieceGraphs.Held held = piece.held(name, tiles.getFirst().type());
    return LockStep.gather(held.type(), tiles, held.layout(), piece.mesh());
  }

  private static void run(
      Piece piece,
      PieceGraphs graphs,
      Work work,
      Map<String, Literal> given,
      Map<String, List<Literal>> made,
      Map<String, List<Literal>> accumulated) {
    Graph graph = Objects.requireNonNull(graphs.graphs().get(work));
    int devices = graphs.mesh().size();
    Map<String, Literal> parameters = new HashMap<>();
    piece.parameters().forEach(p -> parameters.put(p.key(), SmallModels.initial(p)));
    var perDevice = new ArrayList<List<Literal>>();
    for (int device = 0; device < devices; device++) {
      perDevice.add(new ArrayList<>());
    }
    for (Graph.Input input : graph.inputs()) {
      Value value = input.value();
      String name = value.name();
      List<Literal> tiles =
          input.kind() == Graph.Kind.ACCUMULATOR
              ? accumulated.computeIfAbsent(
                  piece.number() + " " + name,
                  _ -> java.util.Collections.nCopies(devices, Literal.filled(value.type(), 0)))
              : made.get(name);
      if (tiles == null) {
        Literal literal = parameters.getOrDefault(name, given.get(name));
        tiles =
            LockStep.scatter(
                Objects.requireNonNull(literal, () -> work + " needs " + value),
                graphs.held(value).layout(),
                graphs.mesh());
      }
      for (int device = 0; device < devices; device++) {
        perDevice.get(device).add(tiles.get(device));
      }
    }
    List<List<Literal>> results = LockStep.run(graph, graphs.mesh(), perDevice);
    for (int i = 0; i < graph.outputs().size(); i++) {
      int index = i;
      List<Literal> tiles = results.stream().map(device -> device.get(index)).toList();
      Value donated = graph.outputs().get(i).donated();
      if (donated != null) {
        accumulated.put(piece.number() + " " + donated.name(), tiles);
      } else {
        made.put(graph.outputs().get(i).value().name(), tiles);
      }
    }
  }

  private static Recomputation policy(String name) {
    return switch (name) {
      case "none" -> new Recomputation.None();
      case "full" -> new Recomputation.Full();
      default -> new Recomputation.Fraction(Double.parseDouble(name));
    };
  }

  @ParameterizedTest
  @CsvSource({
    "gpt, '', 4, none, true",
    "gpt, '', 2, full, false",
    "gpt, '', 3, 0.5, true",
    "gpt, 'data=2', 2, 0.3, true",
    "gpt, 'data=2,model=2', 2, full, false",
    "moe, '', 2, 0.4, true",
    "moe, 'expert=2', 2, none, true",
    "unet, '', 4, full, true",
    "unet, '', 3, 0.6, false"
  })
  void gradientsAreThoseOfTheWhole(
      String name, String axes, int count, String keeps, boolean split) {
    Traced model = model(name);
    Mesh mesh = axes.isEmpty() ? Mesh.SINGLE : Mesh.parse(axes);
    List<Piece> pieces = SmallModels.pieces(model, count);
    String loss = model.graph().outputValues().getFirst().name();
    var graphs = new ArrayList<PieceGraphs>();
    for (Fragments fragments : Fragments.all(pieces, loss, mesh, Map.of(), true)) {
      graphs.add(
          fragments.graphs(
              policy(keeps), split, node -> node.cost().flops() + node.cost().bytes()));
    }
    Map<String, double[]> expected = whole(model);
    Map<String, double[]> found = pieces(model, pieces, graphs);
    assertEquals(expected.keySet(), found.keySet());
    expected.forEach(
        (value, numbers) -> {
          double[] own = Objects.requireNonNull(found.get(value));
          double largest = Arrays.stream(numbers).map(Math::abs).max().orElse(0);
          double tolerance = 1e-10 * Math.max(1, largest);
          for (int i = 0; i < numbers.length; i++) {
            assertEquals(numbers[i], own[i], tolerance, value);
          }
        });
  }
}
