package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.trace.Traced;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.GenerativeModel;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.optimizer.Optimizer;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GenerationGraphsTest {
  private static final ModelConfig CONFIG = new ModelConfig(2, 4, 2, 6, 5, 0.5);
  private static final long[] TEXT = {3, 1, 4, 1, 2, 0};

  private static Tensors tensors(Traced prefill) {
    var tensors = new Tensors();
    tensors.initialize(prefill.parameters());
    for (Value parameter : prefill.graph().inputs(Graph.Kind.PARAMETER)) {
      tensors.round(parameter.name(), parameter.dtype());
    }
    Value keys = prefill.graph().input(GenerationGraphs.KEYS).orElseThrow();
    // What lies in the cache before must not matter.
    tensors.put(GenerationGraphs.KEYS, Literal.filled(keys.type(), 7));
    tensors.put(GenerationGraphs.VALUES, Literal.filled(keys.type(), -3));
    return tensors;
  }

  /** Logits after each place, from one token at a time behind a prompt with padding. */
  private static double[] last(DataType dtype, int prompt, int padded, int count) {
    return last(new Gpt(), CONFIG, dtype, prompt, padded, count);
  }

  private static double[] last(
      GenerativeModel model,
      ModelConfig config,
      DataType dtype,
      int prompt,
      int padded,
      int count) {
    Traced one = GenerationGraphs.decode(model, config, dtype);
    Graph decode = one.graph();
    Traced prefill = GenerationGraphs.prefill(one, model, config, padded, dtype);
    Tensors tensors = tensors(prefill);
    long[] tokens = new long[padded];
    System.arraycopy(TEXT, 0, tokens, 0, prompt);
    tensors.whole(StepGraphs.TOKENS, new long[] {1, padded}, tokens);
    tensors.fact(GenerationGraphs.POSITION, prompt - 1);
    double[] logits = tensors.run(prefill.graph()).getFirst().doubles();
    for (int place = prompt; place < count; place++) {
      tensors.whole(StepGraphs.TOKENS, new long[] {1, 1}, TEXT[place]);
      tensors.fact(GenerationGraphs.POSITION, place);
      logits = tensors.run(decode).getFirst().doubles();
    }
    return logits;
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "2, 4", "5, 6"})
  void aTokenAtATimeGivesWhatAllAtOnceGive(int prompt, int padded) {
    assertArrayEquals(last(DataType.F64, 6, 6, 6), last(DataType.F64, prompt, padded, 6), 1e-12);
  }

  /** Two layers with experts, and two between which there are dense ones. */
  @ParameterizedTest
  @CsvSource({"2, 1", "4, 2"})
  void expertsTooAreFoundATokenAtATime(int layers, int every) {
    var config = new ModelConfig(layers, 4, 2, 6, 5, 0, 4, new Experts(3, 1, 0, every));
    assertArrayEquals(
        last(new Moe(), config, DataType.F64, 6, 6, 6),
        last(new Moe(), config, DataType.F64, 2, 4, 6),
        1e-12);
  }

  /** The loss at the last place is that of the logits that generation gives. */
  @Test
  void generationFollowsTheModelThatIsTrained() {
    StepGraphs step =
        StepGraphs.of(
            new Gpt(), CONFIG, 1, DataType.F64, new Optimizer.SgdMomentum(0.9, false, 0), 0);
    var tensors = new Tensors();
    tensors.initialize(step.parameters());
    tensors.whole(StepGraphs.TOKENS, new long[] {1, 6}, TEXT);
    tensors.whole(StepGraphs.TARGETS, new long[] {1, 6}, -1, -1, -1, -1, -1, 2);
    double loss = tensors.run(step.evaluate()).getFirst().doubles()[0];
    double[] logits = last(DataType.F64, 3, 4, 6);
    double sum = 0;
    for (double x : logits) {
      sum += Math.exp(x);
    }
    assertEquals(Math.log(sum) - logits[2], loss, 1e-12);
  }

  /** What products, sums and lookups take is held narrow; what norms compute in f32 is not. */
  @Test
  void parametersAreHeldAsTheyAreUsed() {
    for (DataType dtype : List.of(DataType.BF16, DataType.F32, DataType.F64)) {
      Traced decode = GenerationGraphs.decode(new Gpt(), CONFIG, dtype);
      Traced prefill = GenerationGraphs.prefill(decode, new Gpt(), CONFIG, 4, dtype);
      for (Graph graph : List.of(decode.graph(), prefill.graph())) {
        for (Value parameter : graph.inputs(Graph.Kind.PARAMETER)) {
          boolean norm = parameter.name().contains("ln_");
          assertEquals(
              norm && dtype == DataType.BF16 ? DataType.F32 : dtype,
              parameter.dtype(),
              parameter.name());
        }
      }
    }
  }

  @Test
  void aNarrowCacheStaysNarrow() {
    Traced one = GenerationGraphs.decode(new Gpt(), CONFIG, DataType.BF16);
    Graph decode = one.graph();
    Graph prefill = GenerationGraphs.prefill(one, new Gpt(), CONFIG, 4, DataType.BF16).graph();
    for (Graph graph : List.of(prefill, decode)) {
      assertEquals(DataType.F32, graph.outputValues().getFirst().dtype());
      for (Value cache : graph.inputs(Graph.Kind.STATE)) {
        assertEquals(TensorType.of(DataType.BF16, 2, 2, 6, 2), cache.type());
      }
      assertEquals(
          graph.inputs(Graph.Kind.STATE),
          graph.outputs().stream().skip(1).map(Graph.Output::donated).toList());
    }
    assertArrayEquals(last(DataType.F32, 3, 4, 6), last(DataType.BF16, 3, 4, 6), 0.1);
  }
}
