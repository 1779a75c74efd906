package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.stage.Balance;
import dev.weft.core.stage.CutCosts;
import dev.weft.core.stage.Cutting;
import dev.weft.core.stage.Piece;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Traced;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.Moe;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Models in pieces compute what they compute whole. */
class PiecesTest {
  private static Traced model(String name) {
    return switch (name) {
      case "gpt" -> SmallModels.tokens(new Gpt(), 8, DataType.F64);
      case "gpt bf16" -> SmallModels.tokens(new Gpt(), 3, DataType.BF16);
      case "moe" -> SmallModels.tokens(new Moe(), 3, DataType.F64);
      case "unet" -> SmallModels.unet();
      case "resnet" -> SmallModels.resnet();
      default -> SmallModels.mlp();
    };
  }

  private static List<Literal> run(
      Graph graph, List<Parameter> parameters, Map<String, Literal> values) {
    var own = new HashMap<>(values);
    parameters.forEach(p -> own.put(p.key(), SmallModels.initial(p)));
    return Interpreter.run(
        graph,
        graph.inputValues().stream()
            .map(v -> Objects.requireNonNull(own.get(v.name()), v.name()))
            .toList());
  }

  /** Every piece initialises its own parameters, as the uncut model would. */
  private static void check(Traced model, List<Piece> pieces) {
    Map<String, Literal> inputs = SmallModels.batch(model, 5);
    List<Literal> expected = run(model.graph(), model.parameters(), inputs);
    var slices = new ArrayList<String>();
    var returned = new HashMap<String, Literal>();
    var sent = new HashMap<String, Literal>();
    for (Piece piece : pieces) {
      var values = new HashMap<>(inputs);
      for (String name : piece.received()) {
        values.put(name, Objects.requireNonNull(sent.get(name), name));
      }
      assertEquals(
          piece.parameters().stream().map(Parameter::key).toList(),
          piece.forward().inputs(Graph.Kind.PARAMETER).stream().map(Value::name).toList());
      List<Literal> results = run(piece.forward(), piece.parameters(), values);
      List<String> names = piece.forward().outputValues().stream().map(Value::name).toList();
      for (int i = 0; i < names.size(); i++) {
        if (piece.sent().contains(names.get(i))) {
          sent.put(names.get(i), results.get(i));
        }
        if (piece.returned().contains(names.get(i))) {
          returned.put(names.get(i), results.get(i));
        }
      }
      piece.parameters().forEach(p -> slices.addAll(p.sliceNames()));
    }
    for (int i = 0; i < expected.size(); i++) {
      String name = model.graph().outputValues().get(i).name();
      assertEquals(expected.get(i), returned.get(name), name);
    }
    var all = new ArrayList<String>();
    model.parameters().forEach(p -> all.addAll(p.sliceNames()));
    assertEquals(all.stream().sorted().toList(), slices.stream().distinct().sorted().toList());
  }

  @ParameterizedTest
  @CsvSource({
    "gpt, 1",
    "gpt, 2",
    "gpt, 3",
    "gpt, 4",
    "gpt, 8",
    "gpt bf16, 2",
    "gpt bf16, 4",
    "moe, 2",
    "moe, 3",
    "moe, 4",
    "unet, 2",
    "unet, 3",
    "unet, 4",
    "unet, 8",
    "resnet, 2",
    "resnet, 3",
    "resnet, 5",
    "mlp, 2",
    "mlp, 3",
    "mlp, 4",
    "mlp, 8"
  })
  void evenPieces(String name, int count) {
    Traced model = model(name);
    List<Piece> pieces = SmallModels.pieces(model, count);
    assertEquals(count, pieces.size());
    check(model, pieces);
  }

  /** What the balance counts with is what is cut, down to the last byte. */
  @ParameterizedTest
  @CsvSource({"gpt, 4", "gpt bf16, 3", "moe, 4", "unet, 4", "unet, 7", "mlp, 5"})
  void loadsAreThoseOfThePieces(String name, int count) {
    Traced model = model(name);
    Cutting cutting = Cutting.of(model);
    Balance.Cut cut = Balance.of(cutting, CutCosts.COUNTED).cut(count);
    List<Piece> pieces = cutting.at(cut.starts());
    for (int i = 0; i < count; i++) {
      Piece piece = pieces.get(i);
      long received =
          piece.forward().inputValues().stream()
              .filter(v -> piece.received().contains(v.name()))
              .mapToLong(v -> v.type().bytes())
              .sum();
      assertEquals(received, cut.loads().get(i).received());
      assertEquals(
          piece.parameters().stream().mapToLong(p -> p.type().bytes()).sum(),
          cut.loads().get(i).parameters());
    }
  }

  /** What the way down saw goes to the way up by itself. */
  @Test
  void skipsOfUnetPassTheBottomBy() {
    Cutting cutting = Cutting.of(SmallModels.unet());
    List<Piece> pieces = cutting.at(cutting.before(List.of("bottom", "up1", "up0")));
    assertEquals(2, pieces.get(2).received().size());
    assertTrue(pieces.get(0).sent().containsAll(pieces.get(1).received()));
    List<String> skips = new ArrayList<>(pieces.get(0).sent());
    skips.removeAll(pieces.get(1).received());
    assertEquals(2, skips.size());
    assertEquals(1, pieces.get(1).received().size());
    assertEquals(1, pieces.get(1).sent().size());
    assertTrue(pieces.get(2).received().stream().anyMatch(skips::contains));
    assertTrue(pieces.get(3).received().stream().anyMatch(skips::contains));
    check(SmallModels.unet(), pieces);
  }

  /** A boundary between layers is one value of the residual stream, whatever dropout reads. */
  @ParameterizedTest
  @ValueSource(ints = {2, 4, 8})
  void boundariesOfGptAreOneValue(int count) {
    Traced model = SmallModels.tokens(new Gpt(), 8, DataType.F64);
    List<Piece> pieces = SmallModels.pieces(model, count);
    for (Piece piece : pieces) {
      List<String> expected =
          piece.number() == 0 ? List.of() : pieces.get(piece.number() - 1).sent();
      assertEquals(expected, piece.received());
      assertEquals(piece.number() == count - 1 ? 0 : 1, piece.sent().size());
      for (String name : piece.received()) {
        assertEquals(
            TensorType.of(DataType.F64, SmallModels.BATCH, 3, 4),
            piece.forward().input(name).orElseThrow().type());
      }
    }
    // The table is tied: the head reads it, too. Nothing else is on two pieces.
    var names = new ArrayList<String>();
    pieces.forEach(p -> p.parameters().forEach(q -> names.addAll(q.sliceNames())));
    List<String> twice =
        names.stream().filter(n -> names.indexOf(n) != names.lastIndexOf(n)).distinct().toList();
    assertEquals(List.of("wte"), twice);
    assertEquals(2, pieces.getLast().returned().size());
  }
}
