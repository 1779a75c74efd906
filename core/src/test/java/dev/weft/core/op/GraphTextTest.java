package dev.weft.core.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GraphTextTest {
  private static final String SAMPLE =
      """
      graph mlp(
          %x: f32[256,512], %w1: f32[512,2048] parameter, %m: f32[256,2048] state,
          %step: i64[] fact, %s: f32[512,2048] accumulator) {   # five kinds
        %h = matmul(%x, %w1) : f32[256,2048]
        %a = exp(%h)  @ h.qkv.matmul weight-gradient "Gpt.java:12"
        %n = subtract(%a, %m) @ "Gpt.java:13"
        %l = sum(%n, dims=[0,1]) : f32[]   # to one number
        return %l, %n into %m
      }
      """;

  @Test
  void readsTheDesignedForm() {
    Graph graph = Verifier.verify("reading", GraphText.parse(SAMPLE));
    assertEquals("mlp", graph.name());
    assertEquals(
        List.of(
            Graph.Kind.DATA,
            Graph.Kind.PARAMETER,
            Graph.Kind.STATE,
            Graph.Kind.FACT,
            Graph.Kind.ACCUMULATOR),
        graph.inputs().stream().map(Graph.Input::kind).toList());
    assertEquals(
        List.of("matmul", "exp", "subtract", "sum"),
        graph.nodes().stream().map(node -> node.op().name()).toList());
    assertEquals(TensorType.of(DataType.F32, 256, 2048), graph.nodes().get(1).output(0).type());
    assertEquals(new Sum(List.of(0, 1)), graph.nodes().get(3).op());
    assertEquals(graph.inputValues().get(2), graph.outputs().get(1).donated());
  }

  @Test
  void originsArePrintedWhereTheyDoNotFollow() {
    Graph graph = GraphText.parse(SAMPLE);
    assertEquals(
        new Origin("h.qkv.matmul", Role.WEIGHT_GRADIENT, "Gpt.java:12"),
        graph.nodes().get(1).origin());
    assertEquals(new Origin("n", Role.FORWARD, "Gpt.java:13"), graph.nodes().get(2).origin());
    assertEquals(new Origin("l", Role.FORWARD, ""), graph.nodes().get(3).origin());
    assertEquals(
        """
        graph mlp(
            %x: f32[256,512],
            %w1: f32[512,2048] parameter,
            %m: f32[256,2048] state,
            %step: i64[] fact,
            %s: f32[512,2048] accumulator) {
          %h = matmul(%x, %w1) : f32[256,2048]
          %a = exp(%h) : f32[256,2048]  @ h.qkv.matmul weight-gradient "Gpt.java:12"
          %n = subtract(%a, %m) : f32[256,2048]  @ "Gpt.java:13"
          %l = sum(%n, dims=[0,1]) : f32[]
          return %l, %n into %m
        }
        """,
        GraphText.print(graph));
  }

  @Test
  void bodiesOfRepeatsAreIndented() {
    String text =
        """
        graph layers(%x: f32[2], %w: f32[3,2]) {
          %y, %all = repeat(%x, %w, body=graph h(%i: i64[], %x: f32[2], %w: f32[2]) {
            %z = multiply(%x, %w) : f32[2]
            return %z, %x
          }, count=3, carried=1, stacked=1, reverse=true) : f32[2], f32[3,2]
          return %y, %all
        }
        """;
    Graph graph = Verifier.verify("reading", GraphText.parse(text));
    assertEquals(text, GraphText.print(graph));
    assertTrue(graph.nodes().getFirst().op() instanceof Repeat repeat && repeat.reverse());
  }

  @Test
  void numbersKeepEveryBit() {
    Graph graph =
        GraphText.parse(
            """
            graph c() {
              %a = constant(value=f64[7]{NaN, inf, -inf, -0.0, 0.1, 4.9E-324, -1e-5})
              %b = constant(value=i64[2]{-9223372036854775808, 9223372036854775807})
              %c = constant(value=bool[2]{true, 0})
              %d = constant(value=f32[3]{2})
              %e = constant(value=f32[0]{})
              return %a, %b, %c, %d, %e
            }
            """);
    double[] expected = {
      Double.NaN,
      Double.POSITIVE_INFINITY,
      Double.NEGATIVE_INFINITY,
      -0.0,
      0.1,
      Double.MIN_VALUE,
      -1e-5
    };
    assertArrayEquals(expected, constant(graph, 0).value().doubles());
    assertEquals(-0.0, constant(graph, 0).value().doubles()[3]);
    assertArrayEquals(
        new long[] {Long.MIN_VALUE, Long.MAX_VALUE}, constant(graph, 1).value().longs());
    assertArrayEquals(new long[] {1, 0}, constant(graph, 2).value().longs());
    assertArrayEquals(new double[] {2, 2, 2}, constant(graph, 3).value().doubles());
    assertEquals(0, constant(graph, 4).value().elements());
    Graph again = GraphText.parse(GraphText.print(graph));
    for (int i = 0; i < 5; i++) {
      assertEquals(constant(graph, i), constant(again, i));
    }
  }

  private static Constant constant(Graph graph, int node) {
    return (Constant) graph.nodes().get(node).op();
  }

  @Test
  void oddNamesStandInQuotes() {
    Value x = new Value("a b\"\n\u00e9", TensorType.of(DataType.F32, 2));
    Value y = new Value("h.*/-_0", TensorType.of(DataType.F32, 2));
    Origin origin = new Origin("weight gradient", Role.RECOMPUTE, "A \"quoted\" \\ line");
    Graph graph =
        new Graph(
            "",
            List.of(new Graph.Input(x, Graph.Kind.DATA)),
            List.of(new Node(new Exp(), List.of(x), List.of(y), origin)),
            List.of(new Graph.Output(y, null)));
    String text = GraphText.print(graph);
    Graph read = GraphText.parse(text);
    assertEquals(text, GraphText.print(read));
    assertEquals("", read.name());
    assertEquals(x.name(), read.inputValues().getFirst().name());
    assertEquals(origin, read.nodes().getFirst().origin());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "(empty) | 1 | 1 | expected 'graph', found the end of the text",
        "graph g(%x: f32[2]) { %y = matmull(%x, %x) return %y } | 1 | 28 | did you mean 'matmul'?",
        "graph g(%x: f32[2]) { %y = exp(%z) return %y } | 1 | 32 | no value %z",
        "graph g(%x: f32[2]) {~  %y = matmul(%x, %x)~ return %y } | 2 | 8 | matmul: ",
        "graph g(%x: f32[2]) { %y = exp(%x) : f32[3] return %y } | 1 | 38 | has type f32[2]",
        "graph g(%x: f32[2]) { %x = exp(%x) return %x } | 1 | 23 | %x is made twice",
        "graph g(%x: f31[2]) { return %x } | 1 | 13 | did you mean 'f32'?",
        "graph g(%x: f32[2] state, %y: f32[2] parmeter) { return } | 1 | 38 | 'parameter'?",
        "graph g(%x: f32[2] [{data},{}]) { return %x } | 1 | 20 | for a tensor of rank 2",
        "graph g(%x: f32[2,2]) { return %x : [{a},{a}] } | 1 | 37 | mesh axis a is used twice",
        "graph g(%x: f32[-2]) { return %x } | 1 | 17 | expected a whole number from 0",
        "graph g(%x: f32[9999999999,9999999999]) { return } | 1 | 17 | can be counted",
        "graph g() { %c = constant(value=f32[999999999]{1}) return } | 1 | 33 | too large",
        "graph g() { %c = constant(value=f32[3]{1,2}) return } | 1 | 33 | expected 3 values",
        "graph g() { %c = constant(value=i32[]{4294967296}) return } | 1 | 39 | 2147483647",
        "graph g() { %c = constant(value=f32[]{1.5f}) return } | 1 | 39 | expected a number",
        "graph g(%x: f32[2]) { %y = sum(%x) return } | 1 | 34 | expected attribute 'dims'",
        "graph g(%x: f32[2]) { %y = sum(%x, dim=[0]) return } | 1 | 36 | did you mean 'dims'?",
        "graph g(%x: f32[2]) { %y = sum(%x, dims=[0], dims=[0]) return } | 1 | 46 | given twice",
        "graph g(%x: f32[2]) { %y = sum(%x, dims=[5]) return } | 1 | 28 | within rank 1",
        "graph g(%x: f32[2]) { %y = cast(%x, to=f3) return } | 1 | 40 | unknown attribute 'f3':"
            + " expected one of [f32",
        "graph g(%x: f32[2]) { %y, %z = exp(%x) return } | 1 | 23 | makes 1 values, found 2",
        "graph g(%x: f32[2]) { %y = exp(%x) @ n forwrd return } | 1 | 40 | 'forward'?",
        "graph g(%x: f32[2]) { %y = exp(%x) return %y into %y } | 1 | 51 | is no input",
        "graph g(%x: f32[2]) { return %x into %x, %x into %x } | 1 | 50 | taken over twice",
        "graph g(%x: f32[2], %y: f32[3]) { return %x into %y } | 1 | 50 | does not fit into",
        "graph g(%x: f32[2]) { %y = exp(%x) return %y } x | 1 | 48 | the end of the text after",
        "graph g(%x: f32[2]) { %y = exp(%x) @ \"open return %y } | 1 | 38 | does not end on",
        "graph g(%x: f32[2]) { relu(%x) } | 1 | 23 | expected a statement",
        "graph g(% x: f32[2]) { return } | 1 | 10 | right after '%'",
      })
  void errorsSayWhereAndWhat(String text, int line, int column, String message) {
    String source = text.equals("(empty)") ? "" : text.replace('~', '\n');
    var error = assertThrows(GraphTextException.class, () -> GraphText.parse(source));
    assertTrue(String.valueOf(error.getMessage()).contains(message), error.getMessage());
    assertEquals(line + ":" + column, error.line() + ":" + error.column(), error.getMessage());
  }

  @Test
  void graphsWithinGraphsEndSomewhere() {
    String deep = "graph g(%i: i64[]) { %y = repeat(body=".repeat(100_000);
    var error = assertThrows(GraphTextException.class, () -> GraphText.parse(deep));
    assertTrue(String.valueOf(error.getMessage()).contains("at most 32 deep"), error.getMessage());
  }

  @Test
  void hugeWordsAreCutInErrors() {
    String text = "graph g(%x: " + "f".repeat(1_000_000) + "[2]) { return %x }";
    var error = assertThrows(GraphTextException.class, () -> GraphText.parse(text));
    assertTrue(String.valueOf(error.getMessage()).length() < 1000);
  }

  @Test
  void macrosAreExpandedAndTheirResultsNamed() {
    Macro twice =
        (graph, operands, _) -> {
          Value middle = new Value("twice.middle", operands.getFirst().type());
          Value end = new Value("twice.end", middle.type());
          var nodes = new java.util.ArrayList<>(graph.nodes());
          Origin origin = new Origin("twice", Role.FORWARD, "");
          nodes.add(new Node(new Exp(), operands, List.of(middle), origin));
          nodes.add(new Node(new Exp(), List.of(middle), List.of(end), origin));
          var outputs = new java.util.ArrayList<>(graph.outputs());
          outputs.add(new Graph.Output(end, null));
          return new Graph(graph.name(), graph.inputs(), nodes, outputs);
        };
    String head = "graph g(%x: f32[2]) { %n = negate(%x) %y = twice(%n) : f32[2] ";
    Graph graph =
        GraphText.parse(
            head + "%z = add(%y, %n) return %z, %y }", OpTable.STANDARD, Map.of("twice", twice));
    assertEquals(
        """
        graph g(%x: f32[2]) {
          %n = negate(%x) : f32[2]
          %twice.middle = exp(%n) : f32[2]  @ twice
          %y = exp(%twice.middle) : f32[2]  @ twice
          %z = add(%y, %n) : f32[2]
          return %z, %y
        }
        """,
        GraphText.print(Verifier.verify("macro", graph)));
    assertThrows(
        GraphTextException.class,
        () ->
            GraphText.parse(
                head + "%twice.middle = exp(%y) return }",
                OpTable.STANDARD,
                Map.of("twice", twice)));
  }

  @Test
  void attributesMayStandInAnyOrder() {
    Graph graph =
        GraphText.parse(
            "graph g(%x: f32[2]) { %y = broadcast(%x, dims=[1], shape=[3,2]) return %y }");
    assertEquals(new Broadcast(Shape.of(3, 2), List.of(1)), graph.nodes().getFirst().op());
  }

  /** A user's op with attributes that may be missing. */
  public record Tagged(
      @org.jspecify.annotations.Nullable String tag,
      java.util.Optional<Double> scale,
      List<List<Long>> table)
      implements UnaryOp {
    @Override
    public double apply(double x) {
      return x;
    }

    @Override
    public List<@Nullable Tensor> gradient(Adjoint adjoint) {
      return List.of(adjoint.cotangent());
    }
  }

  @Test
  void opsOfUsersHaveATextForm() {
    var table =
        new OpTable(
            List.of(
                OpEntry.of(
                    Tagged.class,
                    Example.of(
                        new Tagged("a", java.util.Optional.empty(), List.of()), Example.f32(2)))));
    for (Tagged op :
        List.of(
            new Tagged(null, java.util.Optional.of(0.5), List.of(List.of(1L, 2L), List.of())),
            new Tagged("none", java.util.Optional.empty(), List.of()))) {
      Value x = new Value("x", TensorType.of(DataType.F32, 2));
      Value y = new Value("y", x.type());
      Graph graph =
          new Graph(
              "g",
              List.of(new Graph.Input(x, Graph.Kind.DATA)),
              List.of(new Node(op, List.of(x), List.of(y), new Origin("y", Role.FORWARD, ""))),
              List.of());
      Graph read = GraphText.parse(GraphText.print(graph), table, Map.of());
      assertEquals(op, read.nodes().getFirst().op());
    }
  }
}
