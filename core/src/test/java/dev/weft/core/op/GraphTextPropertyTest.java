package dev.weft.core.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

class GraphTextPropertyTest {
  private static final String SIGNS = "%()[]{}=:,@#\"\\ \n-.0129aefgnrt";

  @Property(tries = 200)
  void anyGraphReadsBack(@ForAll long seed) {
    Graph graph = Verifier.verify("making", RandomGraphs.make(seed));
    String text = GraphText.print(graph);
    Graph read = Verifier.verify("reading", GraphText.parse(text));
    assertEquals(text, GraphText.print(read));
    assertSame(graph, read);
  }

  /**
   * Broken text is read as some other graph or refused with a place in it; nothing else happens.
   */
  @Property(tries = 1000)
  void brokenTextIsRefused(@ForAll long seed) {
    var random = new Random(seed);
    var text = new StringBuilder(GraphText.print(RandomGraphs.make(random.nextInt(50))));
    int changes = 1 + random.nextInt(4);
    for (int i = 0; i < changes && !text.isEmpty(); i++) {
      int at = random.nextInt(text.length());
      switch (random.nextInt(4)) {
        case 0 -> text.setLength(at);
        case 1 -> text.deleteCharAt(at);
        case 2 -> text.insert(at, SIGNS.charAt(random.nextInt(SIGNS.length())));
        default -> text.setCharAt(at, SIGNS.charAt(random.nextInt(SIGNS.length())));
      }
    }
    try {
      Verifier.verify("reading", GraphText.parse(text.toString()));
    } catch (GraphTextException e) {
      assertNotEquals(0, e.line());
      assertNotEquals(0, e.column());
    }
  }

  /** The same graph but for the identity of its values. */
  private static void assertSame(Graph expected, Graph found) {
    Map<Value, Value> partner = new HashMap<>();
    assertEquals(expected.name(), found.name());
    assertEquals(expected.inputs().size(), found.inputs().size());
    for (int i = 0; i < expected.inputs().size(); i++) {
      assertEquals(expected.inputs().get(i).kind(), found.inputs().get(i).kind());
    }
    pair(expected.inputValues(), found.inputValues(), partner);
    assertEquals(expected.nodes().size(), found.nodes().size());
    for (int i = 0; i < expected.nodes().size(); i++) {
      Node a = expected.nodes().get(i);
      Node b = found.nodes().get(i);
      assertEquals(a.inputs().stream().map(partner::get).toList(), b.inputs());
      assertEquals(a.origin(), b.origin());
      if (a.op() instanceof Repeat left && b.op() instanceof Repeat right) {
        assertEquals(left.withBody(right.body()).toString(), right.toString());
        assertEquals(
            List.of(left.count(), left.carried(), left.stacked(), left.reverse()),
            List.of(right.count(), right.carried(), right.stacked(), right.reverse()));
        assertSame(left.body(), right.body());
      } else {
        assertEquals(a.op(), b.op());
      }
      pair(a.outputs(), b.outputs(), partner);
    }
    assertEquals(expected.outputValues().stream().map(partner::get).toList(), found.outputValues());
    assertEquals(
        expected.outputs().stream().map(o -> partner.get(o.donated())).toList(),
        found.outputs().stream().map(Graph.Output::donated).toList());
  }

  private static void pair(List<Value> left, List<Value> right, Map<Value, Value> partner) {
    assertEquals(
        left.stream().map(Value::toString).toList(), right.stream().map(Value::toString).toList());
    for (int i = 0; i < left.size(); i++) {
      partner.put(left.get(i), right.get(i));
    }
  }
}
