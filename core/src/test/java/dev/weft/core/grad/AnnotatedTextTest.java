package dev.weft.core.grad;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.GraphTextException;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Shard;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Shardings behind inputs, values and results of the text form. */
class AnnotatedTextTest {
  private static final String STEP =
      """
      graph step(
          %x: f64[2,3] [{data},{}], %w: f64[3,4] [{},{model}] parameter,
          %m: f64[3,4] state) {
        %h = matmul(%x, %w) : f64[2,4]
        %a, %b = repeat(%h, %h, body=graph g(%i: i64[], %c: f64[2,4], %s: f64[2,4]) {
          %t = tanh(%c) : f64[2,4] [?,{model}]
          return %t, %s
        }, count=2, carried=1, stacked=0, reverse=false) : f64[2,4] [{data},{model}], f64[2,2,4]
        %q = multiply(%a, %a)
        %l = sum(%q, dims=[0,1]) : f64[]
        %g, %d = gradient(%l, %w, %x) : f64[3,4] [?,{model}], f64[2,3]
        %n = subtract(%w, %g)
        return %l, %n : [{},{model}] into %w, %d : [{data},{}], %g into %m
      }
      """;

  private static List<String> annotations(Graph graph) {
    var found = new ArrayList<String>();
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        found.addAll(annotations(repeat.body()));
      } else if (node.op() instanceof Shard shard) {
        found.add("%" + node.input(0).name() + " " + shard.spec() + " " + node.origin().source());
      }
    }
    return found;
  }

  @Test
  void annotationsStandBehindInputsValuesAndResults() {
    Graph graph = Verifier.verify("reading", GradientMacro.parse(STEP, "step.txt"));
    List<String> found = annotations(graph);
    for (String annotation :
        List.of(
            "%x [{data},{}] step.txt:2",
            "%w [{},{model}] step.txt:2",
            "%t [?,{model}] step.txt:6",
            "%a [{data},{model}] step.txt:5",
            "%g [?,{model}] step.txt:11",
            "%n [{},{model}] step.txt:13",
            "%d [{data},{}] step.txt:13")) {
      assertTrue(found.contains(annotation), () -> annotation + " is not in " + found);
    }
    // The name stands for the annotated value from then on; memory is given by the input.
    assertEquals("x.sharded", graph.nodes().get(2).input(0).name());
    assertEquals(
        List.of("w", "m"),
        graph.outputs().stream()
            .filter(o -> o.donated() != null)
            .map(o -> o.donated().name())
            .toList());
    assertTrue(
        graph.nodes().stream().allMatch(n -> n.origin().source().matches("step\\.txt:[0-9]+")));
  }

  @Test
  void annotatedTextsPrintAndReadBack() {
    Graph graph = GradientMacro.parse(STEP);
    String text = GraphText.print(graph);
    Graph read = GraphText.parse(text);
    assertEquals(text, GraphText.print(read));
    assertEquals(AnnotationTest.structure(graph), AnnotationTest.structure(read));
    Graph plain = GradientMacro.parse(STEP.replaceAll(" :? ?\\[[{?][^]]*]", ""));
    assertEquals(List.of(), annotations(plain));
    var arguments = Differences.arguments(plain, 2);
    assertEquals(Interpreter.run(plain, arguments), Interpreter.run(graph, arguments));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "graph g(%x: f32[2] [{a},{b}]) { return %x } | 1 | 20 | %x: f32[2]: the sharding [{a},{b}]"
            + " is for a tensor of rank 2, this one has rank 1",
        "graph g(%x: f32[2,2]) {~ %y = relu(%x) : f32[2,2] [{a},{a}] return %y } | 2 | 27 | %y:"
            + " f32[2,2]: mesh axis a is used twice in [{a},{a}]",
        "graph g(%x: f32[2]) { return %x : [{a,b,a}] } | 1 | 35 | %x: f32[2]: mesh axis a is used"
            + " twice in {a,b,a}",
        "graph g(%x: f32[2]) { return %x : [{a-b}] } | 1 | 35 | found 'a-b'",
        "graph g(%x: f32[2] [a]) { return %x } | 1 | 21 | expected {axes}, {} or ?",
        "graph g(%x: f32[2] [{a}) { return %x } | 1 | 24 | expected ',' or ']' in a sharding",
        "graph g(%x: f32[2]) { return %x : } | 1 | 35 | expected a sharding",
        "graph g(%x: f32[2]) { %y = shard(%x, spec=[?,{b,b}]) return %y } | 1 | 43 | mesh axis b",
      })
  void mistakesAreNamed(String text, int line, int column, String message) {
    var error =
        assertThrows(GraphTextException.class, () -> GradientMacro.parse(text.replace('~', '\n')));
    assertTrue(String.valueOf(error.getMessage()).contains(message), error.getMessage());
    assertEquals(line + ":" + column, error.line() + ":" + error.column(), error.getMessage());
  }
}
