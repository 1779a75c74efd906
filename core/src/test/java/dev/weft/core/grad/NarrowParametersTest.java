package dev.weft.core.grad;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Rounding;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Trace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class NarrowParametersTest {
  private static Tensor parameter(Scope m, String name, long... sizes) {
    return m.parameter(name, Initializer.normal(1), sizes);
  }

  /**
   * Parameters used narrow as they are, looked up, sliced, in rounds, shared by rounds; and some
   * that are used in f32 as well: by a softmax, by being returned, by being carried.
   */
  private static Graph traced() {
    return Trace.trace(
            "model",
            DataType.F32,
            false,
            Map.of("ids", TensorType.of(DataType.I64, 2, 3)),
            (m, batch) -> {
              Tensor ids = Objects.requireNonNull(batch.get("ids"));
              Tensor table = parameter(m, "table", 6, 4);
              Tensor places = parameter(m, "places", 5, 4);
              Tensor shared = parameter(m, "shared", 4, 4);
              Tensor both = parameter(m, "both", 4, 4);
              Tensor returned = parameter(m, "returned", 4, 4);
              Tensor start = parameter(m, "start", 2, 3, 4);
              Tensor x = table.embedding(ids).plus(places.slice(0, 1, 4));
              Scope.Round rounds =
                  m.repeat(
                      "h",
                      3,
                      List.of(x.plus(0), start),
                      List.of(),
                      (s, carried, _) -> {
                        Tensor y = carried.getFirst().matmul(parameter(s, "w", 4, 4));
                        Tensor z = y.plus(parameter(s, "b", 4)).matmul(shared).tanh();
                        return new Scope.Round(List.of(z, carried.get(1).softmax(2)), List.of());
                      });
              Tensor out = rounds.carried().getFirst().matmul(both).matmul(returned);
              return List.of(
                  out.matmul(table.transposed()),
                  both.softmax(1),
                  returned,
                  rounds.carried().get(1));
            })
        .graph();
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void whatIsOnlyRoundedMayComeRounded(DataType dtype) {
    Graph mixed = Optimize.optimize(MixedPrecision.apply(traced(), dtype));
    Set<String> names = NarrowParameters.names(mixed, dtype);
    assertEquals(Set.of("table", "places", "shared", "h.*.w", "h.*.b"), names);
    Graph narrow =
        Verifier.verify("narrow parameters", NarrowParameters.apply(mixed, dtype, names));
    assertEquals(
        mixed.outputValues().stream().map(Value::type).toList(),
        narrow.outputValues().stream().map(Value::type).toList());
    List<Literal> wide = Differences.arguments(mixed, 4);
    assertEquals(Interpreter.run(mixed, wide), Interpreter.run(narrow, rounded(wide, narrow)));
  }

  /** Whatever is asked for comes narrow; where f32 is needed it is cast back. */
  @Test
  void allMayBeAskedFor() {
    Graph mixed = Optimize.optimize(MixedPrecision.apply(traced(), DataType.BF16));
    Set<String> all = Set.of("table", "places", "shared", "h.*.w", "h.*.b", "both", "start");
    Graph narrow =
        Verifier.verify(
            "narrow parameters",
            Optimize.optimize(NarrowParameters.apply(mixed, DataType.BF16, all)));
    for (Value parameter : narrow.inputs(Graph.Kind.PARAMETER)) {
      assertEquals(
          all.contains(parameter.name()) ? DataType.BF16 : DataType.F32, parameter.dtype());
    }
    // The same numbers in a graph that takes them in f32.
    List<Literal> given = rounded(Differences.arguments(mixed, 4), narrow);
    List<Literal> back = new ArrayList<>();
    for (int i = 0; i < given.size(); i++) {
      TensorType type = mixed.inputValues().get(i).type();
      back.add(type.dtype().isFloat() ? Literal.of(type, given.get(i).doubles()) : given.get(i));
    }
    assertEquals(Interpreter.run(mixed, back), Interpreter.run(narrow, given));
  }

  @Test
  void wideTypesChangeNothing() {
    Graph graph = traced();
    assertEquals(Set.of(), NarrowParameters.names(graph, DataType.F32));
    assertSame(graph, NarrowParameters.apply(graph, DataType.F32, Set.of("table")));
  }

  /** Arguments in the types that a graph takes them in. */
  private static List<Literal> rounded(List<Literal> arguments, Graph graph) {
    List<Literal> result = new ArrayList<>();
    for (int i = 0; i < arguments.size(); i++) {
      Literal wide = arguments.get(i);
      TensorType type = graph.inputValues().get(i).type();
      result.add(
          type.equals(wide.type())
              ? wide
              : Literal.of(
                  type,
                  Arrays.stream(wide.doubles())
                      .map(x -> Rounding.round(type.dtype(), x))
                      .toArray()));
    }
    return result;
  }
}
