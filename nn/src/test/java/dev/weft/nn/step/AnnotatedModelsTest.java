package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Shard;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.optimizer.Optimizer;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class AnnotatedModelsTest {
  private static final ModelConfig CONFIG = new ModelConfig(2, 8, 2, 6, 5, 0.1);
  private static final Optimizer ADAMW = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);

  private static StepGraphs.Model model(TokenModel model) {
    return (scope, batch) ->
        model.loss(
            scope,
            CONFIG,
            Objects.requireNonNull(batch.get(StepGraphs.TOKENS)),
            Objects.requireNonNull(batch.get(StepGraphs.TARGETS)));
  }

  private static Map<String, TensorType> data() {
    var data = new LinkedHashMap<String, TensorType>();
    data.put(StepGraphs.TOKENS, TensorType.of(DataType.I64, 4, 6));
    data.put(StepGraphs.TARGETS, TensorType.of(DataType.I64, 4, 6));
    return data;
  }

  private static List<Graph> all(StepGraphs graphs) {
    return List.of(
        graphs.micro(), graphs.microNext(), graphs.norm(), graphs.update(), graphs.evaluate());
  }

  /** One device computes what it would compute if nobody had written annotations. */
  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F64"})
  void oneDeviceHasTheGraphsWithoutAnnotations(DataType dtype) {
    oneDevice(new Gpt(), dtype);
    oneDevice(new Moe(), dtype);
  }

  private static void oneDevice(TokenModel model, DataType dtype) {
    StepGraphs annotated = StepGraphs.of(model(model), data(), dtype, ADAMW, 1);
    StepGraphs plain = StepGraphs.forOneDevice(model(model), data(), dtype, ADAMW, 1);
    for (int i = 0; i < all(plain).size(); i++) {
      Graph graph = all(plain).get(i);
      assertFalse(GraphText.print(graph).contains("shard("), graph.name());
      assertEquals(
          structure(graph), structure(Optimize.optimize(Shard.erase(all(annotated).get(i)))));
    }
    assertTrue(GraphText.print(annotated.micro()).contains("linear_cross_entropy_with_gradient"));
  }

  /** The text of a graph with its values numbered and no origins. */
  private static String structure(Graph graph) {
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
  void aGptIsSplitAsMegatronDoes() {
    for (DataType dtype : List.of(DataType.F32, DataType.BF16)) {
      Graph micro = StepGraphs.of(model(new Gpt()), data(), dtype, ADAMW, 1).micro();
      var written = new TreeMap<String, String>();
      Shard.ofInputs(micro).forEach((value, spec) -> written.put(value.name(), spec.toString()));
      assertEquals(
          new TreeMap<>(
              Map.of(
                  "tokens", "[{data},{sequence}]",
                  "targets", "[{data},{sequence}]",
                  "wte", "[{model},{}]",
                  "h.*.qkv.weight", "[{},{},{model}]",
                  "h.*.qkv.bias", "[{},{model}]",
                  "h.*.proj.weight", "[{},{model},{}]",
                  "h.*.proj.bias", "[{},{}]",
                  "h.*.up.weight", "[{},{},{model}]",
                  "h.*.up.bias", "[{},{model}]",
                  "h.*.down.weight", "[{},{model},{}]")),
          without(written, "h.*.down.bias"));
      assertEquals("[{},{}]", written.get("h.*.down.bias"));
      assertEquals(
          GraphText.print(micro), GraphText.print(GraphText.parse(GraphText.print(micro))));
    }
  }

  private static Map<String, String> without(Map<String, String> map, String key) {
    var rest = new TreeMap<>(map);
    rest.remove(key);
    return rest;
  }

  /** Whatever a collective is made for, it can be told which line of a model asks for it. */
  @Test
  void everyNodeKnowsItsLine() {
    for (TokenModel model : List.of(new Gpt(), new Moe())) {
      all(StepGraphs.of(model(model), data(), DataType.F32, ADAMW, 1))
          .forEach(AnnotatedModelsTest::checkSources);
    }
  }

  private static void checkSources(Graph graph) {
    for (Node node : graph.nodes()) {
      assertTrue(node.origin().source().matches("\\w+\\.java:[0-9]+"), node::toString);
      node.op().bodies().forEach(AnnotatedModelsTest::checkSources);
    }
  }
}
