package dev.weft.core.grad;

import static dev.weft.core.cluster.DimSpec.OPEN;
import static dev.weft.core.cluster.DimSpec.WHOLE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Spec;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Annotations on tensors of models, on their way through differentiation and simplification. */
class AnnotationTest {
  private static final Initializer ZEROS = Initializer.zeros();

  private static Tensor layer(Scope m, Tensor x) {
    Tensor up = m.parameter("up", ZEROS, 3, 4).shard(WHOLE, "model");
    Tensor down = m.parameter("down", ZEROS, 4, 3).shard("model", WHOLE);
    Tensor hidden = x.matmul(up).tanh().shard("data", "model");
    // One weight is used twice: its gradient is a sum.
    Tensor again = hidden.times(up.sum(List.of(0)).broadcast(hidden.shape(), List.of(1)));
    return x.plus(again.matmul(down)).shard("data", OPEN);
  }

  /** Two layers between two uses of one table. */
  private static Tensor model(Scope m, Tensor x) {
    Tensor table = m.parameter("table", ZEROS, 3, 3).shard("model", WHOLE);
    Tensor y = m.repeat("h", 2, x.matmul(table).shard("data", WHOLE), AnnotationTest::layer);
    return y.matmul(table).tanh().sum();
  }

  private static Graph trace() {
    return Differences.trace(scope -> x -> model(scope, x));
  }

  private static List<Node> annotations(Graph graph) {
    var found = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        found.addAll(annotations(repeat.body()));
      } else if (node.op() instanceof Shard) {
        found.add(node);
      }
    }
    return found;
  }

  @Test
  void gradientsOfAnnotatedModelsAreThoseOfFiniteDifferences() {
    Differences.check(trace());
  }

  /** A cotangent is split as its value; a parameter's gradient may be split further. */
  @Test
  void cotangentsInheritAnnotations() {
    Graph forward = trace();
    Value loss = forward.outputValues().getFirst();
    Graph graph =
        Optimize.optimize(
            Autodiff.gradients(forward, loss, forward.inputs(Graph.Kind.PARAMETER), false));
    Map<String, List<String>> specs = new HashMap<>();
    for (Node node : annotations(graph)) {
      if (node.origin().role() != Role.FORWARD && node.origin().role() != Role.RECOMPUTE) {
        specs
            .computeIfAbsent(node.origin().forward(), _ -> new ArrayList<>())
            .add(((Shard) node.op()).spec() + " " + node.origin().role().text());
      }
    }
    assertEquals(
        Map.of(
            "shard", List.of("[{model},?] weight-gradient"),
            "shard_1", List.of("[{data},{}] input-gradient"),
            "h.shard", List.of("[?,{model}] weight-gradient"),
            "h.shard_1", List.of("[{model},?] weight-gradient"),
            "h.shard_2", List.of("[{data},{model}] input-gradient"),
            "h.shard_3", List.of("[{data},?] input-gradient")),
        specs);
    for (Node node : annotations(graph)) {
      assertTrue(node.origin().source().matches("\\w+\\.java:[0-9]+"), node::toString);
    }
  }

  /** What was moved to where it is annotated to be is saved there, not moved again. */
  @Test
  void backwardRoundsDoNotSplitActivationsAnew() {
    for (Node node : annotations(gradients(trace(), false))) {
      // Parameters are there anyway, and the gradient of tanh needs what is annotated.
      boolean there = node.origin().forward().matches("h.shard(_1|_2)?");
      assertTrue(node.origin().role() != Role.RECOMPUTE || there, node::toString);
    }
  }

  @Test
  void annotationsOnInputsAreFoundInRepeatsToo() {
    var written = new HashMap<String, Spec>();
    Shard.ofInputs(Optimize.optimize(trace()))
        .forEach((value, spec) -> written.put(value.name(), spec));
    assertEquals(
        Map.of(
            "table", Spec.parse("[{model},{}]"),
            "h.*.up", Spec.parse("[{},{},{model}]"),
            "h.*.down", Spec.parse("[{},{model},{}]")),
        written);
  }

  /** Without its annotations the graph is the one of the model without annotations. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void annotationsDoNotChangeWhatIsComputed(boolean accumulate) {
    Graph annotated = Optimize.optimize(trace());
    Graph plain = Optimize.optimize(Shard.erase(annotated));
    Graph one = Optimize.optimize(Shard.erase(gradients(annotated, accumulate)));
    Graph other = gradients(plain, accumulate);
    assertEquals(structure(other), structure(one));
    var arguments = Differences.arguments(other, 4);
    assertEquals(Interpreter.run(other, arguments), Interpreter.run(one, arguments));
    assertEquals(List.of(), annotations(one));
  }

  private static Graph gradients(Graph forward, boolean accumulate) {
    Value loss = forward.outputValues().getFirst();
    return Optimize.optimize(
        Verifier.verify(
            "autodiff",
            Autodiff.gradients(forward, loss, forward.inputs(Graph.Kind.PARAMETER), accumulate)));
  }

  /** The text of a graph with its values numbered and no origins. */
  static String structure(Graph graph) {
    var text = new StringBuilder();
    var numbers = new HashMap<Value, Integer>();
    graph.inputValues().forEach(v -> numbers.put(v, numbers.size()));
    for (Node node : graph.nodes()) {
      node.outputs().forEach(v -> numbers.put(v, numbers.size()));
      text.append(node.outputs().stream().map(numbers::get).toList())
          .append(
              node.op() instanceof Repeat repeat
                  ? repeat + " {" + structure(repeat.body()) + "}"
                  : node.op())
          .append(node.inputs().stream().map(numbers::get).toList())
          .append('\n');
    }
    return text.append(graph.outputValues().stream().map(numbers::get).toList()).toString();
  }

  @Test
  void narrowTypesKeepAnnotations() {
    Graph wide = GraphText.parse(GraphText.print(trace()).replace("f64", "f32"));
    Graph narrow = Optimize.optimize(MixedPrecision.apply(wide, DataType.BF16));
    assertEquals(annotations(wide).size(), annotations(narrow).size());
    for (Node node : annotations(narrow)) {
      // Parameters are split in f32, so that what reads the input is the annotation.
      boolean parameter = node.output(0).name().matches("shard|h.shard|h.shard_1");
      assertEquals(parameter ? DataType.F32 : DataType.BF16, node.output(0).dtype());
    }
    assertEquals(
        Shard.ofInputs(Optimize.optimize(wide)).values().stream().toList(),
        Shard.ofInputs(narrow).values().stream().toList());
  }

  @Test
  void annotatedGraphsReadBack() {
    for (Graph graph : List.of(trace(), gradients(trace(), true))) {
      String text = GraphText.print(graph);
      Graph read = Verifier.verify("reading", GraphText.parse(text));
      assertEquals(text, GraphText.print(read));
      assertEquals(structure(graph), structure(read));
    }
  }

  @Test
  void whatSaysNothingNewIsLeftOut() {
    Graph graph =
        GraphText.parse(
            "graph g(%x: f32[2,3]) { %a = shard(%x, spec=[{x},?]) %b = shard(%a, spec=[{x},?])"
                + " %c = shard(%b, spec=[?,?]) %d = shard(%c, spec=[?,{x}]) return %d }");
    assertEquals(
        List.of("[{x},?]", "[?,{x}]"),
        annotations(Optimize.optimize(graph)).stream()
            .map(n -> ((Shard) n.op()).spec().toString())
            .toList());
  }

  @Test
  void mistakesNameTensorAxisAndLine() {
    assertMessage(
        "%tanh: f64[2,3]: the sharding [{data},{model},?] is for a tensor of rank 3, this one has"
            + " rank 2 (",
        x -> x.tanh().shard("data", "model", OPEN));
    assertMessage(
        "%x: f64[2,3]: mesh axis data is used twice in [{data},{data}]; an axis can split one dim"
            + " of a tensor (",
        x -> x.shard("data", "data"));
    assertMessage("mesh axis y is used twice in {y,y} (", x -> x.shard("y,y", OPEN));
    assertMessage("found 'my axis' (", x -> x.shard("my axis", OPEN));
    assertMessage("found '' (", x -> x.shard("data,", OPEN));
    assertMessage("found 3 (", x -> x.shard(OPEN, 3));
  }

  private static void assertMessage(
      String expected, java.util.function.Function<Tensor, Tensor> model) {
    var error =
        assertThrows(UserException.class, () -> Differences.trace(_ -> x -> model.apply(x).sum()));
    String message = String.valueOf(error.getMessage());
    assertTrue(message.contains(expected), message);
    assertTrue(message.matches(".* \\(\\w+\\.java:[0-9]+\\)"), message);
  }
}
