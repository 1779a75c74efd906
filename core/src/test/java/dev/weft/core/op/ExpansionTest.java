package dev.weft.core.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Verifier;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ExpansionTest {
  /** What composites of the tests have in common: one input, outputs of its type. */
  interface Plain extends Composite {
    default int outputs() {
      return 1;
    }

    @Override
    default List<TensorType> infer(List<TensorType> inputs) {
      return java.util.Collections.nCopies(outputs(), inputs.getFirst());
    }

    @Override
    default Factors factors(List<TensorType> inputs) {
      return Factors.elementwise(1, outputs(), inputs.getFirst().rank());
    }

    @Override
    default Cost cost(List<TensorType> inputs) {
      return Cost.streaming(1, inputs, infer(inputs));
    }
  }

  public record Outer() implements Plain {
    @Override
    public List<Tensor> expand(List<Tensor> inputs) {
      return List.of(Tensor.one(new Inner(), inputs.getFirst().negate()));
    }
  }

  public record Inner() implements Plain {
    @Override
    public List<Tensor> expand(List<Tensor> inputs) {
      return List.of(inputs.getFirst().exp().negate());
    }
  }

  public record Through() implements Plain {
    @Override
    public int outputs() {
      return 3;
    }

    @Override
    public List<Tensor> expand(List<Tensor> inputs) {
      Tensor made = inputs.getFirst().exp();
      return List.of(inputs.getFirst(), made, made);
    }
  }

  public record Endless() implements Plain {
    @Override
    public List<Tensor> expand(List<Tensor> inputs) {
      return List.of(Tensor.one(new Endless(), inputs.getFirst()));
    }
  }

  public record Wrong() implements Plain {
    @Override
    public List<Tensor> expand(List<Tensor> inputs) {
      return List.of(inputs.getFirst().sum());
    }
  }

  private static Graph parse(String text) {
    var entries =
        List.<Plain>of(new Outer(), new Inner(), new Through(), new Endless(), new Wrong()).stream()
            .map(op -> OpEntry.of(op.getClass(), Example.of(op, Example.f32(2))))
            .toList();
    var all = new java.util.ArrayList<>(OpTable.ENTRIES);
    all.addAll(entries);
    return GraphText.parse(text, new OpTable(all), Map.of());
  }

  private static Graph expand(Graph graph) {
    return Verifier.verify("expansion", Expansion.expand(graph, _ -> true));
  }

  @Test
  void compositesAreExpandedDownToPrimitives() {
    Graph graph =
        parse(
            """
            graph g(%x: f32[2]) {
              %y = outer(%x)  @ forward update "Model.java:3"
              %z = negate(%y)
              return %z, %y
            }
            """);
    assertEquals(
        """
        graph g(%x: f32[2]) {
          %y.negate = negate(%x) : f32[2]  @ forward update "Model.java:3"
          %y.inner.exp = exp(%y.negate) : f32[2]  @ forward update "Model.java:3"
          %y = negate(%y.inner.exp) : f32[2]  @ forward update "Model.java:3"
          %z = negate(%y) : f32[2]
          return %z, %y
        }
        """,
        GraphText.print(expand(graph)));
    assertSame(graph.outputValues().get(1), expand(graph).outputValues().get(1));
  }

  @Test
  void onlyTheSelectedAreExpanded() {
    Graph graph = parse("graph g(%x: f32[2]) { %y = outer(%x) return %y }");
    Graph expanded = Expansion.expand(graph, node -> node.op() instanceof Outer);
    assertEquals(
        List.of("negate", "inner"),
        expanded.nodes().stream().map(node -> node.op().name()).toList());
    assertSame(graph, Expansion.expand(graph, _ -> false));
  }

  @Test
  void bodiesOfRepeatsAreExpandedToo() {
    Graph graph =
        parse(
            """
            graph g(%x: f32[2]) {
              %y = repeat(%x, body=graph h(%i: i64[], %x: f32[2]) {
                %z = inner(%x)
                return %z
              }, count=2, carried=1, stacked=0, reverse=false)
              return %y
            }
            """);
    Graph expanded = expand(graph);
    assertTrue(
        expanded.nodes().getFirst().op() instanceof Repeat repeat
            && repeat.body().nodes().size() == 2);
  }

  @Test
  void resultsMayBeInputsOrReturnedTwice() {
    Graph graph =
        parse(
            """
            graph g(%x: f32[2], %s: f32[2] state) {
              %a, %b, %c = through(%x)
              %d = add(%a, %c)
              return %d, %a into %s, %b, %c
            }
            """);
    assertEquals(
        """
        graph g(%x: f32[2], %s: f32[2] state) {
          %b = exp(%x) : f32[2]  @ a
          %d = add(%x, %b) : f32[2]
          return %d, %x into %s, %b, %b
        }
        """,
        GraphText.print(expand(graph)));
  }

  @Test
  void namesStayUnique() {
    Graph graph =
        parse(
            """
            graph g(%x: f32[2]) {
              %y = inner(%x)
              %y.exp = exp(%y)
              return %y.exp
            }
            """);
    assertEquals(
        List.of("y.exp_1", "y", "y.exp"),
        expand(graph).nodes().stream().map(node -> node.output(0).name()).toList());
  }

  @Test
  void faultsOfCompositesAreNamed() {
    Graph endless = parse("graph g(%x: f32[2]) { %y = endless(%x) return %y }");
    var error = assertThrows(IllegalStateException.class, () -> expand(endless));
    assertTrue(String.valueOf(error.getMessage()).contains("endless"), error.getMessage());
    Graph wrong = parse("graph g(%x: f32[2]) { %y = wrong(%x) return %y }");
    error = assertThrows(IllegalStateException.class, () -> expand(wrong));
    assertTrue(String.valueOf(error.getMessage()).contains("f32[]"), error.getMessage());
  }
}
