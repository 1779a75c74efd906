package dev.weft.nn.step;

import dev.weft.core.graph.DataType;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Transformer;
import dev.weft.nn.optimizer.Optimizer;
import org.junit.jupiter.api.Test;

class TransformerTest {
  @Test
  void gradientsAreThoseOfFiniteDifferences() {
    StepGraphs graphs =
        StepGraphs.of(
            new Transformer(),
            new ModelConfig(2, 4, 2, 4, 5, 0),
            2,
            DataType.F64,
            new Optimizer.SgdMomentum(0.9, false, 0),
            0);
    var tensors = new Tensors();
    tensors.initialize(graphs.parameters());
    tensors.whole("tokens", new long[] {2, 4}, 0, 3, 1, 2, 4, 2, 2, 1);
    tensors.whole("targets", new long[] {2, 4}, 3, 1, -1, 0, 2, 2, 0, 4);
    tensors.checkGradients(graphs);
  }
}
