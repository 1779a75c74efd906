package dev.weft.core.grad;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Attention;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.LayerNorm;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Trace;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MixedPrecisionTest {
  private static Tensor parameter(Scope m, String name, long... sizes) {
    return m.parameter(name, Initializer.normal(1), sizes);
  }

  private static Tensor norm(Scope m, Tensor x) {
    return Tensor.apply(
            new LayerNorm(1e-5), List.of(x, parameter(m, "scale", 4), parameter(m, "shift", 4)))
        .getFirst();
  }

  /** A transformer in small: table, positions, attention, norms, a tied head. */
  private static Tensor model(Scope m, Tensor ids) {
    Tensor table = parameter(m, "table", 6, 4);
    Tensor x = table.embedding(ids).plus(parameter(m, "places", 5, 4).slice(0, 0, 3));
    x =
        m.repeat(
            "h",
            2,
            x,
            (s, h) -> {
              Tensor y = norm(s.at("norm"), h).matmul(parameter(s, "w", 4, 4));
              Tensor q = y.plus(parameter(s, "b", 4)).reshape(2, 1, 3, 4);
              Tensor a = Tensor.apply(new Attention(true, 0.5), List.of(q, q, q)).getFirst();
              return h.plus(a.reshape(2, 3, 4).gelu(Gelu.Form.TANH).times(0.5));
            });
    return Tensor.one(
        new LinearCrossEntropy(3, -1), norm(m, x).reshape(6, 4), table, ids.reshape(6));
  }

  private static Graph traced() {
    return Trace.trace(
            "model",
            DataType.F32,
            true,
            Map.of("ids", TensorType.of(DataType.I64, 2, 3)),
            (m, batch) -> List.of(model(m, Objects.requireNonNull(batch.get("ids")))))
        .graph();
  }

  private static Graph mixed(Graph graph, DataType dtype) {
    return Verifier.verify("mixed precision", MixedPrecision.apply(graph, dtype));
  }

  private static Node find(Graph graph, String op) {
    return graph.nodes().stream().filter(n -> n.op().name().equals(op)).findFirst().orElseThrow();
  }

  private static DataType made(Graph graph, String op) {
    return find(graph, op).output(0).dtype();
  }

  @Test
  void productsAreNarrowAndLossesAreNot() {
    Graph graph = Optimize.optimize(mixed(traced(), DataType.BF16));
    assertEquals(traced().outputValues().getFirst().type(), graph.outputValues().getFirst().type());
    graph.inputs(Graph.Kind.PARAMETER).forEach(v -> assertEquals(DataType.F32, v.dtype()));
    assertEquals(DataType.F32, find(graph, "embedding").input(0).dtype());
    assertEquals(DataType.BF16, made(graph, "add"));
    Node loss = find(graph, "linear_cross_entropy");
    assertEquals(DataType.BF16, loss.input(0).dtype());
    assertEquals(DataType.BF16, loss.input(1).dtype());
    assertEquals(DataType.F32, loss.output(0).dtype());
    Graph body = ((Repeat) find(graph, "repeat").op()).body();
    assertEquals(DataType.BF16, body.inputValues().get(1).dtype());
    for (String op : List.of("matmul", "add", "multiply", "attention", "gelu", "layer_norm")) {
      assertEquals(DataType.BF16, made(body, op), op);
    }
    assertEquals(DataType.F32, find(body, "layer_norm").input(1).dtype());
  }

  /** What is cast of a bias is the bias, not the tensor that it is spread out to. */
  @Test
  void smallThingsAreCast() {
    Graph body = ((Repeat) find(mixed(traced(), DataType.BF16), "repeat").op()).body();
    for (Node node : body.nodes()) {
      if (node.op().name().equals("cast")) {
        assertTrue(node.output(0).type().elements() <= 16, () -> node + " is large");
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void lossAndGradientsAreNearThoseOfF32(DataType dtype) {
    Graph exact = traced();
    Graph narrow = mixed(exact, dtype);
    List<Literal> expected = gradients(exact);
    List<Literal> found = gradients(narrow);
    for (int i = 0; i < expected.size(); i++) {
      assertEquals(expected.get(i).type(), found.get(i).type());
      double[] a = expected.get(i).doubles();
      double[] b = found.get(i).doubles();
      double difference = 0;
      double size = 0;
      for (int element = 0; element < a.length; element++) {
        difference += (a[element] - b[element]) * (a[element] - b[element]);
        size += a[element] * a[element];
      }
      double limit = 0.05;
      assertTrue(difference < limit * limit * size, "output " + i + " is far off");
    }
    assertTrue(!expected.equals(found), "nothing was rounded");
  }

  private static List<Literal> gradients(Graph graph) {
    Value loss = graph.outputValues().getFirst();
    Graph whole =
        Optimize.optimize(
            Autodiff.gradients(graph, loss, graph.inputs(Graph.Kind.PARAMETER), false));
    return Interpreter.run(whole, Differences.arguments(graph, 4));
  }

  /** A sum over rounds stays wide, a state that a round narrows is narrow from the start. */
  @Test
  void carriedValuesKeepOneType() {
    Graph graph =
        Trace.trace(
                "model",
                DataType.F32,
                true,
                Map.of("x", TensorType.of(DataType.F32, 2, 4)),
                (m, batch) -> {
                  Tensor x = batch.get("x");
                  Scope.Round result =
                      m.repeat(
                          "h",
                          3,
                          List.of(m.constant(DataType.F32, 0), x, x),
                          List.of(),
                          (s, carried, _) -> {
                            Tensor h = carried.get(1).matmul(parameter(s, "w", 4, 4));
                            Tensor p = carried.get(2).plus(h).softmax(1);
                            return new Scope.Round(
                                List.of(carried.get(0).plus(h.sum()), h.tanh(), p), List.of(h));
                          });
                  var outputs = new ArrayList<>(result.carried());
                  outputs.addAll(result.stacked());
                  return outputs;
                })
            .graph();
    Graph narrow = mixed(graph, DataType.BF16);
    Graph body = ((Repeat) find(narrow, "repeat").op()).body();
    assertEquals(
        List.of(DataType.F32, DataType.BF16, DataType.F32),
        body.inputValues().subList(1, 4).stream().map(Value::dtype).toList());
    assertEquals(
        graph.outputValues().stream().map(Value::type).toList(),
        narrow.outputValues().stream().map(Value::type).toList());
  }

  @Test
  void narrowInputsStayNarrowToTheEnd() {
    Graph graph =
        Trace.trace(
                "cache",
                DataType.F32,
                false,
                Map.of("cache", TensorType.of(DataType.F32, 2, 4)),
                (m, batch) ->
                    List.of(
                        Objects.requireNonNull(batch.get("cache")).matmul(parameter(m, "w", 4, 4))))
            .graph();
    Value cache = graph.inputValues().getFirst();
    Graph donated =
        new Graph(
            "cache",
            graph.inputs(),
            graph.nodes(),
            List.of(new Graph.Output(graph.outputValues().getFirst(), cache)));
    Graph narrow =
        Verifier.verify(
            "mixed precision", MixedPrecision.apply(donated, DataType.BF16, Set.of(cache)));
    assertEquals(DataType.BF16, narrow.inputValues().getFirst().dtype());
    assertEquals(DataType.BF16, narrow.outputValues().getFirst().dtype());
    assertEquals(narrow.inputValues().getFirst(), narrow.outputs().getFirst().donated());
  }

  @Test
  void wideTypesChangeNothing() {
    Graph graph = traced();
    assertSame(graph, MixedPrecision.apply(graph, DataType.F32));
    assertSame(graph, MixedPrecision.apply(graph, DataType.F64));
  }
}
