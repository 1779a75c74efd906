package dev.weft.core.interpret;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.GraphText;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class InterpreterTest {
  private static Literal floats(TensorType type, double... values) {
    return Literal.of(type, values);
  }

  private static final TensorType SQUARE = TensorType.of(DataType.F32, 2, 2);
  private static final TensorType PAIR = TensorType.of(DataType.F32, 2);

  @Test
  void computesNodeByNode() {
    Graph graph =
        GraphText.parse(
            """
            graph g(%a: f32[2,2], %b: f32[2,2]) {
              %c = matmul(%a, %b)
              %d = subtract(%c, %a)
              %e = sum(%d, dims=[1])
              return %e, %c, %a
            }
            """);
    List<Literal> results =
        Interpreter.run(graph, List.of(floats(SQUARE, 1, 2, 3, 4), floats(SQUARE, 5, 6, 7, 8)));
    assertArrayEquals(new double[] {19 + 22 - 3, 43 + 50 - 7}, results.get(0).doubles());
    assertArrayEquals(new double[] {19, 22, 43, 50}, results.get(1).doubles());
    assertArrayEquals(new double[] {1, 2, 3, 4}, results.get(2).doubles());
  }

  /** Each round: x becomes x * w[i] + u + i; the x before is stacked. */
  private static String repeat(boolean reverse) {
    return """
    graph g(%x: f32[2], %w: f32[3,2], %u: f32[2]) {
      %y, %before = repeat(%x, %w, %u,
          body=graph h(%i: i64[], %x: f32[2], %w: f32[2], %u: f32[2]) {
            %p = multiply(%x, %w)
            %q = add(%p, %u)
            %f = cast(%i, to=f32)
            %b = broadcast(%f, shape=[2], dims=[])
            %r = add(%q, %b)
            return %r, %x
          }, count=3, carried=1, stacked=1, reverse=REVERSE)
      return %y, %before
    }
    """
        .replace("REVERSE", Boolean.toString(reverse));
  }

  private static List<Literal> runRepeat(boolean reverse) {
    return Interpreter.run(
        GraphText.parse(repeat(reverse)),
        List.of(
            floats(PAIR, 1, 2),
            floats(TensorType.of(DataType.F32, 3, 2), 1, 2, 3, 4, 5, 6),
            floats(PAIR, 10, 20)));
  }

  @Test
  void roundsCarryAndStack() {
    List<Literal> results = runRepeat(false);
    // x: [1,2] -> [11,24] -> [44,117] -> [232,724]
    assertArrayEquals(new double[] {232, 724}, results.get(0).doubles());
    assertArrayEquals(new double[] {1, 2, 11, 24, 44, 117}, results.get(1).doubles());
  }

  @Test
  void reverseRoundsGoFromTheLastSliceToTheFirst() {
    List<Literal> results = runRepeat(true);
    // x: [1,2] -> w 5,6: [17,34] -> w 3,4: [62,157] -> w 1,2: [72,334]
    assertArrayEquals(new double[] {72, 334}, results.get(0).doubles());
    assertArrayEquals(new double[] {62, 157, 17, 34, 1, 2}, results.get(1).doubles());
  }

  @Test
  void theObserverFindsTheFirstNumberThatIsNone() {
    Graph graph =
        GraphText.parse(
            """
            graph g(%a: f32[2]) {
              %zero = subtract(%a, %a)
              %bad = divide(%zero, %zero)
              %worse = exp(%bad)
              return %worse
            }
            """);
    var bad = new ArrayList<String>();
    Interpreter.run(
        graph,
        List.of(floats(PAIR, 1, 2)),
        (_, value, literal) -> {
          if (Double.isNaN(literal.doubles()[0])) {
            bad.add(value.name());
          }
        });
    assertEquals(List.of("bad", "worse"), bad);
  }

  @Test
  void theObserverSeesInsideCompositesAndRepeats() {
    Graph graph =
        GraphText.parse(
            """
            graph g(%a: f32[2]) {
              %s = softmax(%a, dim=0)
              %y = repeat(%s, body=graph h(%i: i64[], %x: f32[2]) {
                %z = negate(%x)
                return %z
              }, count=2, carried=1, stacked=0, reverse=false)
              return %y
            }
            """);
    var seen = new ArrayList<String>();
    Interpreter.run(graph, List.of(floats(PAIR, 1, 2)), (node, _, _) -> seen.add(node.op().name()));
    assertEquals("repeat", seen.getLast());
    assertEquals(2, seen.stream().filter("negate"::equals).count());
    assertEquals(true, seen.indexOf("exp") >= 0 && seen.indexOf("exp") < seen.indexOf("softmax"));
  }

  @Test
  void inputsMustBeOfTheGraphsTypes() {
    Graph graph = GraphText.parse("graph g(%a: f32[2]) { return %a }");
    assertThrows(IllegalArgumentException.class, () -> Interpreter.run(graph, List.of()));
    assertThrows(
        IllegalArgumentException.class,
        () -> Interpreter.run(graph, List.of(floats(SQUARE, 1, 2, 3, 4))));
  }

  @Test
  void aValueMayBeUsedAndReturnedManyTimes() {
    Graph graph =
        GraphText.parse(
            """
            graph g(%a: f32[2]) {
              %b = add(%a, %a)
              %unused = negate(%b)
              %c = multiply(%b, %b)
              return %c, %c, %b
            }
            """);
    List<Literal> results = Interpreter.run(graph, List.of(floats(PAIR, 1, 2)));
    assertArrayEquals(new double[] {4, 16}, results.get(0).doubles());
    assertEquals(results.get(0), results.get(1));
    assertArrayEquals(new double[] {2, 4}, results.get(2).doubles());
  }
}
