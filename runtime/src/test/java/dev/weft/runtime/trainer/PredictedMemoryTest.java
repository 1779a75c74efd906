package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.graph.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a device holds at most is known before the first step. */
class PredictedMemoryTest {
  private static final double TOLERANCE = 0.03;

  @ParameterizedTest(name = "{0} {1} on \"{2}\", {3} layers of {4}, {5} micro-batches")
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt | f32 | '' | 2 | 96 | 1",
        "gpt | bf16 | '' | 2 | 96 | 2",
        "gpt | f64 | '' | 1 | 32 | 1",
        "gpt | f32 | model=2 | 2 | 96 | 2",
        "gpt | bf16 | data=2,model=2 | 1 | 64 | 1",
        "moe | f32 | '' | 2 | 64 | 1",
        "moe | f32 | expert=2 | 1 | 64 | 1",
        "unet | f32 | '' | 3 | 16 | 1",
        "unet | f32 | space=2 | 2 | 8 | 1",
      })
  void isWhatIsMeasured(
      String model, String dtype, String mesh, int layers, int hidden, int microBatches) {
    TrainConfig config = config(model, dtype, mesh, layers, hidden, microBatches);
    var data = Session.spec(config).data();
    try (Learner learner = Learner.open(config)) {
      learner.initialize();
      Learner.BatchSource zeros = (_, input) -> clear(data, input);
      learner.step(1, 1e-3, zeros);
      learner.step(2, 1e-3, zeros);
      learner.evaluate(1, zeros);
      double predicted = learner.predictedPeak().count();
      double measured = learner.peakMemory().count();
      assertEquals(1, predicted / measured, TOLERANCE, predicted + " of " + measured);
      assertTrue(measured <= predicted, "a budget of what is predicted is enough");
    }
  }

  private static void clear(Map<String, TensorType> data, Function<String, MemorySegment> input) {
    data.forEach(
        (name, type) -> {
          MemorySegment segment = Objects.requireNonNull(input.apply(name));
          for (long i = 0; i < type.elements(); i++) {
            if (type.dtype().isFloat()) {
              segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) Math.sin(i));
            } else {
              segment.setAtIndex(ValueLayout.JAVA_LONG, i, i % 3);
            }
          }
        });
  }

  private static TrainConfig config(
      String model, String dtype, String mesh, int layers, int hidden, int microBatches) {
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes
        .put("model", model)
        .put("steps", 2)
        .put("threads", 2)
        .put("dtype", dtype)
        .put("mesh", mesh);
    changes.put("layers", layers).put("hidden", hidden).put("batch", 6);
    changes.put("micro-batches", microBatches);
    if (model.equals(ImageTask.UNET)) {
      changes.put("image", 32);
    } else {
      changes.put("heads", 2).put("sequence", 48).put("vocabulary", 300);
    }
    return TrainConfig.defaultsOf(model).with(changes, "the test");
  }
}
