package dev.weft.core.stage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Trace;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.BiFunction;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** Pieces one after another compute what the model computes, bit by bit. */
class CuttingTest {
  @Property(tries = 120)
  void runsOfUnits(@ForAll long seed, @ForAll @IntRange(min = 1, max = 12) int steps) {
    var random = new Random(seed);
    Traced model = LayeredModels.make(random, steps);
    Cutting cutting = Cutting.of(model);
    check(model, cutting.cut(runs(random, cutting.units().size())), random);
  }

  /** Any assignment in which nothing reads what is made later, chains or not. */
  @Property(tries = 60)
  void scatteredUnits(@ForAll long seed, @ForAll @IntRange(min = 1, max = 8) int steps) {
    var random = new Random(seed);
    Traced model = LayeredModels.make(random, steps);
    Cutting cutting = Cutting.of(model);
    List<Integer> pieces = runs(random, cutting.units().size());
    List<Piece> legal = cutting.cut(pieces);
    for (int change = 0; change < 12; change++) {
      var changed = new ArrayList<>(pieces);
      changed.set(
          random.nextInt(pieces.size()), random.nextInt(1 + pieces.stream().reduce(0, Math::max)));
      try {
        legal = cutting.cut(changed);
        pieces = changed;
      } catch (IllegalArgumentException e) {
        assertTrue(String.valueOf(e.getMessage()).contains("piece"), e.getMessage());
      }
    }
    check(model, legal, random);
  }

  static List<Integer> runs(Random random, int units) {
    int pieces = 1 + random.nextInt(Math.min(units, 5));
    var starts = new HashSet<Integer>();
    while (starts.size() < pieces - 1) {
      starts.add(1 + random.nextInt(units - 1));
    }
    var assigned = new ArrayList<Integer>();
    int piece = 0;
    for (int unit = 0; unit < units; unit++) {
      piece += starts.contains(unit) ? 1 : 0;
      assigned.add(piece);
    }
    return assigned;
  }

  static void check(Traced model, List<Piece> pieces, Random random) {
    Map<String, Literal> inputs = LayeredModels.inputs(model, random);
    Graph graph = model.graph();
    List<Literal> expected =
        Interpreter.run(
            graph, graph.inputValues().stream().map(v -> get(inputs, v.name())).toList());
    var returned = new HashMap<String, Literal>();
    var sent = new HashMap<String, Literal>();
    Map<String, Parameter> whole = new HashMap<>();
    model.parameters().forEach(p -> whole.put(p.name(), p));
    var have = new HashMap<String, List<String>>();
    for (Piece piece : pieces) {
      var values = new HashMap<>(inputs);
      for (String name : piece.received()) {
        values.put(name, get(sent, name));
      }
      List<Value> read = piece.forward().inputs(Graph.Kind.PARAMETER);
      assertEquals(
          piece.parameters().stream().map(p -> p.key() + p.type()).toList(),
          read.stream().map(v -> v.name() + v.type()).toList());
      for (Parameter parameter : piece.parameters()) {
        int first = parameter.firstLayer();
        if (!parameter.equals(whole.get(parameter.name()))) {
          int end = first + Math.toIntExact(parameter.type().size(0));
          values.put(
              parameter.key(), LayeredModels.rows(get(inputs, parameter.name()), first, end));
        }
        for (String slice : parameter.sliceNames()) {
          // Pieces that share layers of a parameter share all that they have of it.
          List<String> before = have.putIfAbsent(slice, parameter.sliceNames());
          assertEquals(before == null ? parameter.sliceNames() : before, parameter.sliceNames());
        }
      }
      List<Value> outputs = piece.forward().outputValues();
      var names = new ArrayList<>(piece.sent());
      piece.returned().stream().filter(n -> !names.contains(n)).forEach(names::add);
      assertEquals(names, outputs.stream().map(Value::name).toList());
      List<Literal> results =
          Interpreter.run(
              piece.forward(),
              piece.forward().inputValues().stream().map(v -> get(values, v.name())).toList());
      for (int i = 0; i < names.size(); i++) {
        if (piece.sent().contains(names.get(i))) {
          sent.put(names.get(i), results.get(i));
        }
        if (piece.returned().contains(names.get(i))) {
          assertEquals(null, returned.put(names.get(i), results.get(i)));
        }
      }
    }
    for (int i = 0; i < expected.size(); i++) {
      String name = graph.outputValues().get(i).name();
      assertEquals(expected.get(i), returned.get(name), name);
    }
    var all = new ArrayList<String>();
    model.parameters().forEach(p -> all.addAll(p.sliceNames()));
    assertEquals(all.stream().sorted().toList(), have.keySet().stream().sorted().toList());
  }

  private static Literal get(Map<String, Literal> values, String name) {
    return Objects.requireNonNull(values.get(name), name);
  }

  private static final TensorType TYPE = TensorType.of(DataType.F64, 3, 4);

  private static Tensor linear(Scope m, Tensor x) {
    return x.matmul(m.parameter("weight", Initializer.normal(1), 4, 4));
  }

  private static Traced trace(BiFunction<Scope, Tensor, Tensor> model) {
    return Trace.trace(
        "model",
        DataType.F64,
        true,
        Map.of("x", TYPE),
        (scope, data) -> List.of(model.apply(scope, Objects.requireNonNull(data.get("x"))).sum()));
  }

  private static List<String> names(Cutting cutting) {
    return cutting.units().stream().map(Unit::name).toList();
  }

  /** From the first piece straight to the last, not by way of the second. */
  @Test
  void skipsGoStraightToWhoReadsThem() {
    Traced model =
        trace(
            (m, x) -> {
              Tensor a = linear(m.at("a"), x);
              Tensor b = linear(m.at("b"), a);
              return linear(m.at("c"), b).plus(a);
            });
    Cutting cutting = Cutting.of(model);
    assertEquals(List.of("a.matmul", "b.matmul", "c.matmul", "c.add", "c.sum"), names(cutting));
    List<Piece> pieces = cutting.at(List.of(0, 1, 2));
    assertEquals(List.of("a.matmul"), pieces.get(0).sent());
    assertEquals(List.of("a.matmul"), pieces.get(1).received());
    assertEquals(List.of("b.matmul"), pieces.get(1).sent());
    assertEquals(List.of("a.matmul", "b.matmul"), pieces.get(2).received());
  }

  /** What is read late only is computed late: nothing but the chain crosses. */
  @Test
  void whatIsTracedEarlyAndReadLateIsComputedLate() {
    Traced model =
        trace(
            (m, x) -> {
              Tensor scaled = m.parameter("late", Initializer.normal(1), 4, 4).exp();
              Tensor a = linear(m.at("a"), x).tanh();
              return a.matmul(scaled);
            });
    Cutting cutting = Cutting.of(model);
    assertEquals(List.of("a.matmul", "a.tanh", "exp", "a.matmul_1", "a.sum"), names(cutting));
    List<Piece> pieces = cutting.at(List.of(0, 2));
    assertEquals(List.of("a.tanh"), pieces.get(1).received());
    assertEquals(
        List.of("late"), pieces.get(1).parameters().stream().map(Parameter::name).toList());
  }

  /** Views and widenings are made by who reads them; a mask is made of what is there anyway. */
  @Test
  void cheapValuesAreNotSent() {
    Traced model =
        trace(
            (m, x) -> {
              Tensor a = linear(m.at("a"), x).cast(DataType.F32);
              Tensor wide = a.cast(DataType.F64).transposed();
              Tensor mask = a.greater(0).cast(DataType.F64);
              Tensor places = Tensor.iota(x.builder(), TYPE, 1);
              return linear(m.at("b"), wide.transposed().times(mask).plus(places))
                  .plus(a.cast(DataType.F64));
            });
    Cutting cutting = Cutting.of(model);
    int cut = names(cutting).indexOf("b.matmul");
    // Before the product with its weight stands what it reads; with one unit less, its parts do.
    for (int first = 2; first <= cut; first++) {
      List<Piece> pieces = cutting.at(List.of(0, first));
      assertTrue(pieces.get(1).received().size() <= 2, pieces.get(1).received().toString());
      assertTrue(pieces.get(1).received().contains("a.cast"), pieces.get(1).received().toString());
    }
  }

  @Test
  void aTiedTableIsSharedAndNotSent() {
    Traced model =
        trace(
            (m, x) -> {
              Tensor table = m.parameter("table", Initializer.normal(1), 4, 4);
              Tensor first = x.matmul(table);
              Tensor a = linear(m.at("a"), first);
              return a.matmul(table.cast(DataType.F32).cast(DataType.F64).transposed());
            });
    Cutting cutting = Cutting.of(model);
    List<Piece> pieces = cutting.at(List.of(0, 1, 2));
    assertEquals(List.of("matmul"), pieces.get(0).sent());
    assertEquals(List.of("a.matmul"), pieces.get(1).sent());
    assertEquals(
        List.of("table"), pieces.get(2).parameters().stream().map(Parameter::name).toList());
    assertEquals(pieces.get(0).parameters(), pieces.get(2).parameters());
  }

  @Test
  void stackedParametersKeepTheirNames() {
    Traced model = trace((m, x) -> m.repeat("h", 5, x, CuttingTest::linear));
    List<Piece> pieces = Cutting.of(model).at(List.of(0, 2));
    Parameter later = pieces.get(1).parameters().getFirst();
    assertEquals(2, later.firstLayer());
    assertEquals(2 * 16, later.firstElement());
    assertEquals(List.of("h.2.weight", "h.3.weight", "h.4.weight"), later.sliceNames());
    assertEquals(List.of("h.2"), pieces.get(1).received());
  }

  @Test
  void cutsBeforeNamedScopes() {
    Traced model =
        trace(
            (m, x) ->
                linear(
                    m.at("head").at("out"),
                    m.repeat("h", 4, linear(m.at("stem"), x), CuttingTest::linear)));
    Cutting cutting = Cutting.of(model);
    assertEquals(
        List.of("stem.matmul", "h.0", "h.1", "h.2", "h.3", "head.out.matmul", "head.out.sum"),
        names(cutting));
    assertEquals(List.of(0, 3, 5), cutting.before(List.of("head", "h.2")));
    assertEquals(List.of(0, 1), cutting.before(List.of("h")));
    refused(cutting, "heed", "did you mean 'head'");
    refused(cutting, "h.2.weight", "cut before 'h.2'");
    refused(cutting, "stem", "the model begins there");
    refused(cutting, "h.7", "no scope 'h.7'");
    var mistake =
        assertThrows(UserException.class, () -> cutting.before(List.of("head", "head.out")));
    assertTrue(String.valueOf(mistake.getMessage()).contains("another cut"));
  }

  private static void refused(Cutting cutting, String scope, String words) {
    var mistake = assertThrows(UserException.class, () -> cutting.before(List.of(scope)));
    assertTrue(String.valueOf(mistake.getMessage()).contains(words), mistake.getMessage());
  }

  @Test
  void morePiecesThanUnitsAreRefused() {
    Cutting cutting = Cutting.of(trace((m, x) -> linear(m, linear(m.at("a"), x))));
    Balance balance = Balance.of(cutting, CutCosts.COUNTED);
    var mistake = assertThrows(UserException.class, () -> balance.cut(4));
    assertTrue(String.valueOf(mistake.getMessage()).contains("at most 3"), mistake.getMessage());
    assertEquals(3, balance.cut(3).starts().size());
  }

  /** Nothing is computed on two pieces but what is cheap. */
  @Property(tries = 50)
  void expensiveNodesAreOnOnePiece(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = 10) int steps) {
    var random = new Random(seed);
    Traced model = LayeredModels.make(random, steps);
    Cutting cutting = Cutting.of(model);
    List<Piece> pieces = cutting.cut(runs(random, cutting.units().size()));
    var products = new ArrayList<Node>();
    for (Piece piece : pieces) {
      piece.forward().nodes().stream()
          .filter(n -> Arrays.asList("matmul", "cross_entropy").contains(n.op().name()))
          .forEach(products::add);
    }
    List<String> outputs = products.stream().map(n -> n.output(0).name()).toList();
    assertEquals(outputs.size(), new HashSet<>(outputs).size(), outputs.toString());
  }
}
