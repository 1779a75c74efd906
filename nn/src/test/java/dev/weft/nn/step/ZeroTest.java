package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.Shard;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.optimizer.Optimizer;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ZeroTest {
  private static final Optimizer ADAMW = new Optimizer.AdamW(0.9, 0.95, 1e-8, 0.1);
  private static final StepGraphs GRAPHS =
      StepGraphs.of(new Gpt(), new ModelConfig(2, 8, 2, 6, 5, 0), 8, DataType.F32, ADAMW, 1);

  private static Map<String, Spec> specs(String mesh, int stage) {
    return Zero.specs(GRAPHS, ADAMW.slots(), Mesh.parse(mesh), stage);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        // name | on data=4 | split | on data=2,model=2 | split
        "wte | [{},{}] | [{},{data}] | [{model},{}] | [{model},{data}]",
        "wpe | [{},{}] | [{},{data}] | [{},{}] | [{},{data}]",
        "h.*.ln_1.weight | [{},{}] | [{},{data}] | [{},{}] | [{},{data}]",
        "h.*.qkv.weight | [{},{},{}] | [{},{},{data}] | [{},{},{model}] | [{},{data},{model}]",
        "h.*.qkv.bias | [{},{}] | [{},{data}] | [{},{model}] | [{},{model,data}]",
        "h.*.down.weight | [{},{},{}] | [{},{data},{}] | [{},{model},{}] | [{},{model},{data}]",
      })
  void stagesSplitSlotsThenGradientsThenParameters(
      String name, String data, String dataSplit, String both, String bothSplit) {
    for (int stage = 0; stage <= 3; stage++) {
      check(specs("data=4", stage), stage, name, data, dataSplit);
      check(specs("data=2,model=2", stage), stage, name, both, bothSplit);
    }
  }

  private static void check(
      Map<String, Spec> specs, int stage, String name, String own, String split) {
    assertEquals(stage < 3 ? own : split, String.valueOf(specs.get(name)));
    assertEquals(stage < 2 ? own : split, String.valueOf(specs.get(name + ".sum")));
    for (String slot : ADAMW.slots()) {
      assertEquals(stage < 1 ? own : split, String.valueOf(specs.get(name + "." + slot)));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "0 | 6,8 | [{},{}] | [{},{data}]",
        "0 | 8,8 | [{},{}] | [{data},{}]",
        "1 | 8,6 | [{},{}] | [{},{data}]", // uneven rather than over the layers
        "0 | 6,7 | [{},{}] | [{},{data}]",
        "0 | 3,2 | [{},{}] | [{},{}]",
        "0 | 16 | [{model}] | [{model,data}]",
        "0 | 16,4 | [{model},{}] | [{model},{data}]",
        "0 | 16,5 | [{model},{}] | [{model,data},{}]",
        "0 | 16,8 | [{data},{}] | [{data},{}]",
        "1 | 4 | [{}] | [{}]",
      })
  void theLargestDimThatDividesIsSplit(int stacked, String sizes, String own, String expected) {
    long[] shape = List.of(sizes.split(",")).stream().mapToLong(Long::parseLong).toArray();
    var parameter =
        new Parameter(
            "w", TensorType.of(DataType.F32, shape), stacked, Initializer.zeros(), "M.java:1");
    Mesh mesh = Mesh.parse("data=4,model=2");
    assertEquals(expected, Zero.split(parameter, Spec.parse(own), mesh).toString());
    assertEquals(own, Zero.split(parameter, Spec.parse(own), Mesh.parse("model=2")).toString());
  }

  /** What is written on the graphs is what lies between them, and one device computes the same. */
  @ParameterizedTest
  @ValueSource(ints = {0, 2, 3})
  void specsAreWrittenOnTheGraphs(int stage) {
    Map<String, Spec> specs = specs("data=2,model=2", stage);
    StepGraphs annotated = Zero.annotate(GRAPHS, specs);
    for (Graph graph :
        List.of(annotated.micro(), annotated.microNext(), annotated.norm(), annotated.update())) {
      Map<Value, Spec> written = Shard.ofInputs(graph);
      for (Value input : graph.inputValues()) {
        if (specs.containsKey(input.name())) {
          assertEquals(specs.get(input.name()), written.get(input), () -> input + " of " + graph);
        }
      }
    }
    var producers = annotated.update().producers();
    for (Graph.Output output : annotated.update().outputs()) {
      String name = String.valueOf(output.donated()).replaceAll("%|:.*", "");
      assertTrue(
          producers.get(output.value()).op() instanceof Shard shard
              && shard.spec().equals(specs.get(name)),
          name);
    }
    String gradient = GRAPHS.parameters().getFirst().name() + ".sum";
    Value first = annotated.micro().outputValues().get(2);
    assertEquals(
        new Shard(java.util.Objects.requireNonNull(specs.get(gradient))),
        annotated.micro().producers().get(first).op());
    var origin = annotated.micro().producers().get(first).origin();
    assertEquals(Role.WEIGHT_GRADIENT, origin.role());
    assertEquals(GRAPHS.parameters().getFirst().source(), origin.source());
    assertEquals(
        GraphText.print(Shard.erase(GRAPHS.update())),
        GraphText.print(Shard.erase(annotated.update())));
    assertEquals(
        GraphText.print(Shard.erase(GRAPHS.micro())),
        GraphText.print(Shard.erase(annotated.micro())));
  }

  @Test
  void thereAreFourStages() {
    var error = assertThrows(UserException.class, () -> specs("data=2", 4));
    assertEquals("zero must be 0, 1, 2 or 3, found 4", error.getMessage());
  }
}
