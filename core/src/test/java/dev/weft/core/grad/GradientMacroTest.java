package dev.weft.core.grad;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.GraphTextException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class GradientMacroTest {
  private static final String HEAD =
      """
      graph square(%x: f64[2], %w: f64[2] parameter) {
        %p = multiply(%x, %w)
        %q = multiply(%p, %p)
        %l = sum(%q, dims=[0])
      """;

  @Test
  void gradientsAreNodesOfTheGraphRead() {
    Graph graph =
        GradientMacro.parse(HEAD + "%gx, %gw = gradient(%l, %x, %w) return %l, %gw, %gx }");
    Verifier.verify("reading", graph);
    assertEquals(List.of("l", "gw", "gx"), graph.outputValues().stream().map(Value::name).toList());
    TensorType type = TensorType.of(DataType.F64, 2);
    List<Literal> results =
        Interpreter.run(
            graph,
            List.of(Literal.of(type, new double[] {2, 3}), Literal.of(type, new double[] {5, 7})));
    assertArrayEquals(new double[] {100 + 441}, results.get(0).doubles());
    assertArrayEquals(new double[] {2 * 4 * 5, 2 * 9 * 7}, results.get(1).doubles());
    assertArrayEquals(new double[] {2 * 25 * 2, 2 * 49 * 3}, results.get(2).doubles());
    assertEquals(GraphText.print(graph), GraphText.print(GraphText.parse(GraphText.print(graph))));
  }

  @Test
  void operandsThatDoNotFitAreNamed() {
    for (String statement :
        List.of("gradient(%l)", "gradient(%q, %w)", "gradient(%l, %p)", "gradient()")) {
      var error =
          assertThrows(
              GraphTextException.class,
              () -> GradientMacro.parse(HEAD + "%g = " + statement + " return %g }"));
      assertEquals(5, error.line());
    }
  }

  @Test
  void theDocumentedSampleReads() throws IOException {
    String page = Files.readString(Path.of("..", "docs", "text-form.md"));
    String fence = "```\n";
    int from = page.indexOf(fence + "graph mlp") + fence.length();
    Graph graph = GradientMacro.parse(page.substring(from, page.indexOf(fence, from)));
    Verifier.verify("reading", graph);
    assertEquals(List.of("l", "g"), graph.outputValues().stream().map(Value::name).toList());
  }
}
