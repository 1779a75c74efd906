package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.nn.step.StepGraphs;
import dev.weft.nn.step.TrainingMemory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is estimated without a device is about what a device plans. */
final class TrainingMemoryTest {
  @ParameterizedTest
  @ValueSource(strings = {"gpt", "unet", "resnet"})
  void isAboutThePlan(String model) {
    Session.Spec spec = Session.spec(TrainConfig.defaultsOf(model));
    StepGraphs graphs =
        StepGraphs.forOneDevice(
            spec.model(), spec.data(), spec.parameterType(), spec.optimizer(), spec.clip());
    long estimated =
        TrainingMemory.ofOneDevice(graphs, spec.data(), spec.optimizer(), spec.microBatches());
    try (Session session = Session.open(spec)) {
      assertEquals(1, estimated / (double) session.predictedPeak().count(), 0.1);
    }
  }
}
