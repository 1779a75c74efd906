package dev.weft.core.graph;

import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.op.Exp;
import dev.weft.core.op.GraphText;
import java.util.List;
import org.junit.jupiter.api.Test;

class VerifierTest {
  private static final TensorType TYPE = TensorType.of(DataType.F32, 2);
  private static final Origin ORIGIN = new Origin("y", Role.FORWARD, "");

  private final Value x = new Value("x", TYPE);
  private final Value y = new Value("y", TYPE);

  private static Graph graph(List<Value> inputs, List<Node> nodes, List<Graph.Output> outputs) {
    return new Graph(
        "g",
        inputs.stream().map(v -> new Graph.Input(v, Graph.Kind.DATA)).toList(),
        nodes,
        outputs);
  }

  private static Node exp(Value input, Value output) {
    return new Node(new Exp(), List.of(input), List.of(output), ORIGIN);
  }

  private static Graph.Output output(Value value) {
    return new Graph.Output(value, null);
  }

  private static void refused(Graph graph, String message) {
    var error = assertThrows(IllegalStateException.class, () -> Verifier.verify("a pass", graph));
    assertTrue(String.valueOf(error.getMessage()).contains("a pass"), error.getMessage());
    assertTrue(String.valueOf(error.getMessage()).contains(message), error.getMessage());
  }

  @Test
  void goodGraphsPass() {
    Graph graph = graph(List.of(x), List.of(exp(x, y)), List.of(new Graph.Output(y, x)));
    assertSame(graph, Verifier.verify("a pass", graph));
  }

  @Test
  void valuesAreMadeBeforeTheyAreUsed() {
    Value z = new Value("z", TYPE);
    refused(graph(List.of(x), List.of(exp(y, z), exp(x, y)), List.of()), "before it is made");
  }

  @Test
  void valuesAreMadeOnce() {
    refused(graph(List.of(x), List.of(exp(x, y), exp(x, y)), List.of()), "made twice");
    refused(graph(List.of(x), List.of(exp(x, new Value("x", TYPE))), List.of()), "made twice");
    refused(graph(List.of(x, x), List.of(), List.of()), "made twice");
  }

  @Test
  void outputsHaveTheInferredTypes() {
    Value wrong = new Value("y", TensorType.of(DataType.F32, 3));
    refused(graph(List.of(x), List.of(exp(x, wrong)), List.of()), "should be");
  }

  @Test
  void whatIsReturnedExists() {
    refused(graph(List.of(x), List.of(), List.of(output(y))), "never made");
  }

  @Test
  void memoryIsTakenOverOnceFromAnInputOfTheSameType() {
    Node node = exp(x, y);
    var first = new Graph.Output(y, x);
    refused(graph(List.of(x), List.of(node), List.of(first, first)), "donated");
    refused(graph(List.of(x), List.of(node), List.of(new Graph.Output(x, y))), "donated");
    Value large = new Value("large", TensorType.of(DataType.F32, 3));
    refused(
        graph(List.of(x, large), List.of(node), List.of(new Graph.Output(y, large))), "donated");
  }

  @Test
  void bodiesOfRepeatsAreVerified() {
    Graph good =
        GraphText.parse(
            """
            graph g(%x: f32[2]) {
              %y = repeat(%x, body=graph h(%i: i64[], %x: f32[2]) {
                %z = exp(%x)
                return %z
              }, count=2, carried=1, stacked=0, reverse=false)
              return %y
            }
            """);
    Node node = good.nodes().getFirst();
    var repeat = (dev.weft.core.op.Repeat) node.op();
    Graph body = repeat.body();
    Graph broken = new Graph(body.name(), body.inputs(), List.of(), body.outputs());
    refused(
        new Graph(
            good.name(),
            good.inputs(),
            List.of(
                new Node(repeat.withBody(broken), node.inputs(), node.outputs(), node.origin())),
            good.outputs()),
        "never made");
  }
}
