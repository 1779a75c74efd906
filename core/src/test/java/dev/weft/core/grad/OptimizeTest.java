package dev.weft.core.grad;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.CommonSubexpressions;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OptimizeTest {
  /** The ops that are left of a function of x f64[2,3], y f64[2,3] and s bf16[2,3]. */
  private static List<String> left(String body) {
    Graph graph =
        GraphText.parse(
            "graph g(%x: f64[2,3], %y: f64[2,3], %s: bf16[2,3]) {\n"
                + "%zero = constant(value=f64[]{0.0})\n"
                + "%one = constant(value=f64[]{1.0})\n"
                + "%zeros = broadcast(%zero, shape=[2,3], dims=[])\n"
                + "%ones = broadcast(%one, shape=[2,3], dims=[])\n"
                + body.replace(';', '\n')
                + "\n}");
    return ops(optimize(graph));
  }

  private static Graph optimize(Graph graph) {
    Graph optimized = Optimize.optimize(Verifier.verify("reading", graph));
    var arguments = Differences.arguments(graph, 3);
    Differences.assertClose(
        Interpreter.run(graph, arguments), Interpreter.run(optimized, arguments));
    return optimized;
  }

  private static List<String> ops(Graph graph) {
    return graph.nodes().stream().map(n -> n.op().name()).toList();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "%r = add(%x, %zeros); return %r |",
        "%r = add(%zeros, %x); return %r |",
        "%r = subtract(%x, %zeros); return %r |",
        "%r = subtract(%zeros, %x); return %r | constant,broadcast,subtract",
        "%r = multiply(%ones, %x); return %r |",
        "%r = divide(%x, %ones); return %r |",
        "%r = divide(%ones, %x); return %r | constant,broadcast,divide",
        "%r = cast(%x, to=f64); return %r |",
        "%a = cast(%s, to=f64); %r = cast(%a, to=bf16); return %r |",
        "%a = cast(%s, to=f32); %r = cast(%a, to=f64); return %r | cast",
        "%a = cast(%x, to=f32); %r = cast(%a, to=f64); return %r | cast,cast",
        "%a = reshape(%x, shape=[6]); %r = reshape(%a, shape=[2,3]); return %r |",
        "%a = reshape(%x, shape=[6]); %r = reshape(%a, shape=[3,2]); return %r | reshape",
        "%a = transpose(%x, permutation=[1,0]); %r = transpose(%a, permutation=[1,0]);"
            + " return %r |",
        "%a = multiply(%x, %y); %b = multiply(%x, %y); %r = add(%a, %b); return %r |"
            + " multiply,add",
        "%a = add(%one, %one); %r = multiply(%a, %a); return %r | constant",
        "%a = multiply(%x, %y); %r = add(%x, %y); return %r | add",
      })
  void rules(String body, String expected) {
    assertEquals(expected == null ? "" : expected, String.join(",", left(body)));
  }

  @Test
  void scatteringIntoZerosJoinsTheSum() {
    String scatter =
        "%i = iota(type=i64[2,3], dim=1); %a = scatter_add(%zeros, %i, %y, dim=1);"
            + " %r = add(%x, %a); ";
    assertEquals(List.of("iota", "scatter_add"), left(scatter + "return %r"));
    assertEquals(5, left(scatter + "return %r, %a").size());
  }

  @Test
  void theFirstOfEqualNodesStandsForAll() {
    Graph graph =
        GraphText.parse(
            """
            graph g(%x: f64[2]) {
              %a = exp(%x)
              %b = exp(%x)
              return %a, %b
            }
            """);
    Node late = graph.nodes().get(0);
    Node marked =
        new Node(late.op(), late.inputs(), late.outputs(), late.origin().as(Role.INPUT_GRADIENT));
    Graph given =
        new Graph("g", graph.inputs(), List.of(marked, graph.nodes().get(1)), graph.outputs());
    Graph found = Verifier.verify("test", CommonSubexpressions.eliminate(given));
    assertEquals(1, found.nodes().size());
    assertEquals(Role.FORWARD, found.nodes().getFirst().origin().role());
    assertEquals(late.outputs(), found.nodes().getFirst().outputs());
  }

  /** A repeat is seeded with what its sum is added to, only if nothing else sees the sum. */
  @ParameterizedTest
  @CsvSource({
    "%next %y %y, true",
    "%part %y %y, true",
    "%part %part %y, false",
    "%part %y %part, false"
  })
  void sumsStartWithWhatTheyAreAddedTo(String results, boolean sinks) {
    var builder = new Builder("g");
    var type = TensorType.of(DataType.F64, 3);
    var kind = Graph.Kind.DATA;
    var x = builder.input("x", type, kind);
    var a = builder.input("a", type, kind);
    var body = builder.nested("body");
    body.input("round", TensorType.scalar(DataType.I64), kind);
    var sum = new Tensor(body, body.input("sum", type, kind));
    var h = new Tensor(body, body.input("h", type, kind));
    var y = h.sin();
    var part = sum.plus(y);
    var next = part.plus(y.times(h));
    for (String result : results.split(" ")) {
      body.output(
          switch (result) {
            case "%next" -> next.value();
            case "%part" -> part.value();
            default -> y.value();
          });
    }
    var start = new Tensor(builder, x).filled(0);
    var loop = builder.add(new Repeat(body.build(), 2, 2, 0, false), List.of(start.value(), x));
    var total = new Tensor(builder, a).plus(new Tensor(builder, loop.getFirst()));
    builder.output(total.value());
    builder.output(loop.get(1));
    builder.output(loop.get(2));
    assertEquals(sinks, ops(optimize(builder.build())).equals(List.of("repeat")));
  }

  @Property(tries = 200)
  void randomGraphsComputeTheSame(@ForAll long seed) {
    Graph graph = RandomAlgebra.make(seed);
    Graph optimized = optimize(graph);
    assertTrue(optimized.nodes().size() <= graph.nodes().size());
  }

  @Property(tries = 60)
  void gradientsOfRandomGraphsComputeTheSame(@ForAll long seed) {
    Graph graph = RandomAlgebra.make(seed);
    var loss = graph.outputValues().getFirst();
    optimize(
        Verifier.verify("autodiff", Autodiff.gradients(graph, loss, graph.inputValues(), false)));
  }
}
