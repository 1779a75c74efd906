package dev.weft.core.grad;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Dropout;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.RandomBits;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Gradients through repeats are those of finite differences. */
class RepeatGradientTest {
  private static Tensor parameter(Scope m, String name, long... sizes) {
    return m.parameter(name, Initializer.normal(1), sizes);
  }

  /** Weighs elements differently, so that no derivative hides behind another. */
  private static Tensor loss(Tensor x) {
    Tensor place = Tensor.iota(x.builder(), new TensorType(DataType.F64, x.shape()), x.rank() - 1);
    return x.times(x).times(place.plus(1)).sum().plus(x.sum());
  }

  private static Tensor layer(Scope m, Tensor x) {
    return x.plus(x.matmul(parameter(m, "w", 3, 3)).plus(parameter(m, "b", 3)).tanh());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void parametersOfLayers(int count) {
    Differences.check(
        Differences.trace(
            m -> x -> loss(m.repeat("h", count, x, RepeatGradientTest::layer)).plus(x.sum())));
  }

  @Test
  void valuesOfTheEnclosingGraph() {
    Differences.check(
        Differences.trace(
            m ->
                x -> {
                  Tensor outer = parameter(m, "outer", 3, 3).tanh();
                  Tensor row = x.sum(List.of(0));
                  return loss(
                      m.repeat("h", 3, x, (s, h) -> layer(s, h.matmul(outer).plus(row)).sin()));
                }));
  }

  @Test
  void oneParameterInsideAndOutside() {
    Differences.check(
        Differences.trace(
            m ->
                x -> {
                  Tensor w = parameter(m, "w", 3, 3);
                  Tensor h = m.repeat("h", 2, x.matmul(w), (s, y) -> y.matmul(w).tanh());
                  return loss(h.matmul(w.transposed()));
                }));
  }

  @Test
  void repeatsInRepeats() {
    Differences.check(
        Differences.trace(
            m ->
                x -> {
                  Tensor w = parameter(m, "w", 3, 3);
                  return loss(
                      m.repeat(
                          "outer",
                          2,
                          x,
                          (s, h) ->
                              layer(
                                  s,
                                  s.repeat(
                                      "inner",
                                      3,
                                      h,
                                      (t, y) -> layer(t, y).plus(h.matmul(w)).tanh()))));
                }));
  }

  @Test
  void stackedValuesInAndOut() {
    Differences.check(
        Differences.trace(
            m ->
                x -> {
                  Tensor stack = parameter(m, "stack", 3, 2, 3);
                  Scope.Round result =
                      m.repeat(
                          "h",
                          3,
                          List.of(x, x.sum()),
                          List.of(stack, stack.tanh()),
                          (s, carried, slices) -> {
                            Tensor h = carried.get(0).times(slices.get(0)).plus(slices.get(1));
                            Tensor number = carried.get(1).times(h.sum()).sin();
                            return new Scope.Round(
                                List.of(h.tanh(), number), List.of(h.times(number), h.exp()));
                          });
                  return loss(result.carried().get(0))
                      .plus(result.carried().get(1))
                      .plus(loss(result.stacked().get(0)));
                }));
  }

  @Test
  void onlyAStackedOutputIsUsed() {
    Differences.check(
        Differences.trace(
            m ->
                x -> {
                  Scope.Round result =
                      m.repeat(
                          "h",
                          3,
                          List.of(x),
                          List.of(),
                          (s, carried, slices) -> {
                            Tensor h = layer(s, carried.getFirst());
                            return new Scope.Round(List.of(h), List.of(h.sin()));
                          });
                  return loss(result.stacked().getFirst());
                }));
  }

  @Test
  void carriedValuesThatChangePlacesOrStay() {
    Differences.check(
        Differences.trace(
            m ->
                x -> {
                  Tensor w = parameter(m, "w", 2, 3);
                  Scope.Round result =
                      m.repeat(
                          "h",
                          3,
                          List.of(x, w, x.sin()),
                          List.of(),
                          (s, carried, slices) ->
                              new Scope.Round(
                                  List.of(
                                      carried.get(1),
                                      carried.get(0).times(carried.get(2)),
                                      carried.get(2)),
                                  List.of(carried.get(0))));
                  return loss(result.carried().get(0)).plus(loss(result.stacked().get(0)));
                }));
  }

  @Test
  void carriedValuesThatStartAsConstants() {
    Differences.check(
        Differences.trace(
            m ->
                x -> {
                  Scope.Round result =
                      m.repeat(
                          "h",
                          3,
                          List.of(x.filled(0), x),
                          List.of(),
                          (s, carried, slices) -> {
                            Tensor h = layer(s, carried.get(1));
                            return new Scope.Round(
                                List.of(carried.get(0).plus(h.times(h)), h), List.of());
                          });
                  return loss(result.carried().get(0));
                }));
  }

  @Test
  void roundsInReverse() {
    var builder = new Builder("reversed");
    Tensor x = input(builder, "x", 3);
    Tensor stack = input(builder, "stack", 4, 3);
    Tensor whole = input(builder, "whole", 3);
    var body = builder.nested("body");
    Tensor round =
        new Tensor(body, body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA));
    Tensor h = input(body, "h", 3);
    Tensor slice = input(body, "slice", 3);
    Tensor same = input(body, "same", 3);
    Tensor next = h.times(slice).plus(same).sin().times(round.cast(DataType.F64).plus(1));
    body.output(next.value());
    body.output(next.times(slice).value());
    var repeat = new Repeat(body.build(), 4, 1, 1, true);
    List<Tensor> results = Tensor.apply(repeat, List.of(x, stack, whole));
    builder.output(loss(results.get(0)).plus(loss(results.get(1))).value());
    Differences.check(builder.build());
  }

  @Test
  void oneOperandInSeveralPlaces() {
    var builder = new Builder("several");
    Tensor x = input(builder, "x", 3, 3);
    var body = builder.nested("body");
    body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    Tensor h = input(body, "h", 3, 3);
    Tensor slice = input(body, "slice", 3);
    Tensor other = input(body, "other", 3);
    Tensor same = input(body, "same", 3, 3);
    Tensor again = input(body, "again", 3, 3);
    Tensor next = h.times(slice).plus(same.times(other)).sin().plus(again.matmul(h)).tanh();
    body.output(next.value());
    var repeat = new Repeat(body.build(), 3, 1, 2, false);
    Tensor result = Tensor.apply(repeat, List.of(x, x, x, x, x)).getFirst();
    builder.output(loss(result).value());
    Graph forward = builder.build();
    Differences.check(forward);
    checkAccumulation(forward);
  }

  @Test
  void dropoutIsTheSameOnTheWayBack() {
    Differences.check(
        Differences.trace(
            m ->
                x ->
                    loss(
                        m.repeat(
                            "h",
                            3,
                            x,
                            (s, h) -> {
                              var site = new RandomBits(7, Shape.of(2, 3));
                              Tensor bits =
                                  Tensor.one(
                                      site,
                                      s.fact("seed"),
                                      s.fact("step"),
                                      s.layer(),
                                      s.fact("row"));
                              return layer(s, Tensor.one(new Dropout(0.4), h, bits));
                            }))));
  }

  @Test
  void tiedTableUnderAFusedLoss() {
    Graph graph =
        Differences.check(
            Differences.trace(
                m ->
                    x -> {
                      Tensor table = parameter(m, "table", 5, 3);
                      Tensor ids = Tensor.iota(x.builder(), TensorType.of(DataType.I64, 2, 2), 1);
                      Tensor h = table.embedding(ids).plus(x.sum(List.of(0)));
                      h = m.repeat("h", 2, h, (s, y) -> layer(s, y).gelu(Gelu.Form.TANH));
                      Tensor targets = ids.reshape(4);
                      var loss = new LinearCrossEntropy(2, 1);
                      return Tensor.one(loss, h.reshape(4, 3), table, targets);
                    }));
    List<String> ops = graph.nodes().stream().map(n -> n.op().name()).toList();
    assertEquals(1, ops.stream().filter("linear_cross_entropy_with_gradient"::equals).count());
    assertEquals(0, ops.stream().filter("linear_cross_entropy"::equals).count());
  }

  @Test
  void accumulatorsGrowByTheGradient() {
    checkAccumulation(
        Differences.trace(
            m ->
                x -> {
                  Tensor table = parameter(m, "table", 5, 3);
                  Tensor ids = Tensor.iota(x.builder(), TensorType.of(DataType.I64, 2), 0);
                  Tensor h = x.plus(table.embedding(ids));
                  h = m.repeat("h", 3, h, (s, y) -> layer(s, y).plus(table.sum(List.of(0)).tanh()));
                  return loss(h.matmul(table.transposed()));
                }));
  }

  /** Two micro-batches, the second added onto the first, are the sum of both. */
  private static void checkAccumulation(Graph forward) {
    Value loss = forward.outputValues().getFirst();
    List<Value> wanted = forward.inputValues();
    Graph first = Optimize.optimize(Autodiff.gradients(forward, loss, wanted, false));
    Graph raw = Verifier.verify("autodiff", Autodiff.gradients(forward, loss, wanted, true));
    Graph next = Optimize.optimize(raw);
    List<Literal> one = Differences.arguments(forward, 1);
    List<Literal> two = new ArrayList<>(one);
    two.set(0, Differences.arguments(forward, 2).getFirst());
    List<Literal> a = Interpreter.run(first, one);
    List<Literal> b = Interpreter.run(first, two);
    var arguments = new ArrayList<>(two);
    arguments.addAll(a.subList(1, a.size()));
    var expected = new ArrayList<Literal>();
    expected.add(b.getFirst());
    for (int i = 1; i < a.size(); i++) {
      double[] sum = a.get(i).doubles().clone();
      for (int element = 0; element < sum.length; element++) {
        sum[element] += b.get(i).doubles()[element];
      }
      expected.add(Literal.of(a.get(i).type(), sum));
    }
    Differences.assertClose(expected, Interpreter.run(raw, arguments));
    Differences.assertClose(expected, Interpreter.run(next, arguments));
    assertEquals(
        next.inputs(Graph.Kind.ACCUMULATOR),
        next.outputs().stream().skip(1).map(Graph.Output::donated).toList());
  }

  private static Tensor input(Builder builder, String name, long... sizes) {
    return new Tensor(
        builder, builder.input(name, TensorType.of(DataType.F64, sizes), Graph.Kind.DATA));
  }
}
