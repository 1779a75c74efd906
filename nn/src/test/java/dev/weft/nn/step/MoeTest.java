package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Value;
import dev.weft.core.trace.Traced;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.optimizer.Optimizer;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MoeTest {
  private static final Optimizer SGD = new Optimizer.SgdMomentum(0.9, false, 0);

  private static ModelConfig config(double factor, double balance, int every) {
    return new ModelConfig(2, 4, 2, 4, 5, 0, 4, new Experts(3, factor, balance, every));
  }

  private static StepGraphs graphs(long batch, double factor, double balance) {
    return graphs(batch, factor, balance, 1);
  }

  private static StepGraphs graphs(long batch, double factor, double balance, int every) {
    return StepGraphs.of(new Moe(), config(factor, balance, every), batch, DataType.F64, SGD, 0);
  }

  private static Tensors tensors(StepGraphs graphs) {
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    tensors.whole("tokens", new long[] {2, 4}, 0, 3, 1, 2, 4, 2, 2, 1);
    tensors.whole("targets", new long[] {2, 4}, 3, 1, -1, 0, 2, 2, 0, 4);
    return tensors;
  }

  /** With places for all and with tokens that are passed by. */
  @ParameterizedTest
  @CsvSource({"9, 1", "0.7, 1", "9, 2"})
  void gradientsAreThoseOfFiniteDifferences(double factor, int every) {
    StepGraphs graphs = graphs(2, factor, 0.3, every);
    tensors(graphs).checkGradients(graphs);
  }

  @Test
  void capacityAndBalanceCount() {
    double all = loss(9, 0);
    assertTrue(Math.abs(all - loss(0.3, 0)) > 1e-6, "nobody was passed by");
    // The balance of each of the two layers is at least 1 for 3 and 4 targets that count.
    assertTrue(loss(9, 0.5) > all + 0.5 * 2 * 7 - 1e-9);
    StepGraphs graphs = graphs(2, 9, 0.5);
    assertEquals(all, tensors(graphs).run(graphs.evaluate()).getFirst().doubles()[0], 1e-9);
  }

  private static double loss(double factor, double balance) {
    StepGraphs graphs = graphs(2, factor, balance);
    return tensors(graphs).run(graphs.micro()).getFirst().doubles()[0];
  }

  /** A group is a sequence: how a batch is cut does not matter. */
  @Test
  void microBatchesAddUpToTheBatch() {
    StepGraphs whole = graphs(2, 0.7, 0.3);
    List<Literal> expected = tensors(whole).run(whole.micro());
    StepGraphs half = graphs(1, 0.7, 0.3);
    Tensors tensors = tensors(half);
    tensors.whole("tokens", new long[] {1, 4}, 0, 3, 1, 2);
    tensors.whole("targets", new long[] {1, 4}, 3, 1, -1, 0);
    List<Literal> first = tensors.run(half.micro());
    for (int i = 0; i < half.parameters().size(); i++) {
      tensors.put(half.parameters().get(i).name() + ".sum", first.get(2 + i));
    }
    tensors.whole("tokens", new long[] {1, 4}, 4, 2, 2, 1);
    tensors.whole("targets", new long[] {1, 4}, 2, 2, 0, 4);
    List<Literal> second = tensors.run(half.microNext());
    assertEquals(
        expected.get(0).doubles()[0], first.get(0).doubles()[0] + second.get(0).doubles()[0], 1e-9);
    for (int i = 2; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i).doubles(), second.get(i).doubles(), 1e-9);
    }
  }

  /** A token at a time finds the experts that all at once find, when nobody is passed by. */
  @Test
  void generationFollowsTheModelThatIsTrained() {
    ModelConfig config = config(9, 0.1, 1);
    StepGraphs step = StepGraphs.of(new Moe(), config, 1, DataType.F64, SGD, 0);
    var tensors = new Tensors();
    tensors.initialize(step.parameters());
    tensors.whole(StepGraphs.TOKENS, new long[] {1, 4}, 3, 1, 4, 2);
    tensors.whole(StepGraphs.TARGETS, new long[] {1, 4}, -1, -1, -1, 2);
    double loss = tensors.run(step.evaluate()).getFirst().doubles()[0];

    Traced one = GenerationGraphs.decode(new Moe(), config, DataType.F64);
    Graph decode = one.graph();
    Graph prefill = GenerationGraphs.prefill(one, new Moe(), config, 3, DataType.F64).graph();
    Value keys = prefill.input(GenerationGraphs.KEYS).orElseThrow();
    tensors.put(GenerationGraphs.KEYS, Literal.filled(keys.type(), 7));
    tensors.put(GenerationGraphs.VALUES, Literal.filled(keys.type(), -3));
    tensors.whole(StepGraphs.TOKENS, new long[] {1, 3}, 3, 1, 0);
    tensors.fact(GenerationGraphs.POSITION, 1);
    tensors.run(prefill);
    double[] logits = {};
    for (int place = 2; place < 4; place++) {
      tensors.whole(StepGraphs.TOKENS, new long[] {1, 1}, place == 2 ? 4 : 2);
      tensors.fact(GenerationGraphs.POSITION, place);
      logits = tensors.run(decode).getFirst().doubles();
    }
    double sum = 0;
    for (double x : logits) {
      sum += Math.exp(x);
    }
    assertEquals(Math.log(sum) - logits[2], loss, 1e-12);
  }
}
