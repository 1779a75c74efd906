package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.runtime.trainer.TrainConfig;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ResnetCommandTest {
  @TempDir Path folder;

  private static TrainConfig config(int steps) {
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("steps", steps).put("threads", 1).put("image", 16).put("hidden", 8);
    changes.put("batch", 32).put("micro-batches", 2).put("log-every", 1).put("warmup", 5);
    changes.put("learning-rate", 1e-2);
    return TrainConfig.defaultsOf("resnet").with(changes, "the test").resolved();
  }

  @Test
  void trainingEndsWithTheShareOfPicturesThatAreRight() throws IOException {
    Path run = Trainings.train(folder, "resnet", config(80));
    JsonNode summary = Trainings.summary(run);
    assertEquals(80 * 32, summary.get("pictures").asLong());
    // Guessing among three shapes is right a third of the time, with a loss of log 3.
    assertTrue(summary.get("accuracy").asDouble() > 0.5, summary.toString());
    assertTrue(summary.get("validation_loss_per_picture").asDouble() < 0.95, summary.toString());
  }

  /** Averages are saved with the parameters. */
  @Test
  void itGoesOnAsIfItHadNeverStopped() throws IOException {
    Trainings.assertGoesOn(folder, ResnetCommandTest::config);
  }

  @Test
  void explainTellsHowItIsSplit() {
    var words =
        WeftProcess.runHere(
            "explain", "--model", "resnet", "--image", "8", "--batch", "4", "--mesh", "data=2");
    assertEquals(0, words.code(), words.output());
    assertTrue(words.output().contains("stem_norm.mean"), words.output());
  }

  @Test
  void averagesAreListedButAreNoTrainedParameters() {
    var parameters = WeftProcess.runHere("inspect", "parameters", "--model", "resnet");
    assertEquals(0, parameters.code(), parameters.output());
    assertTrue(parameters.output().contains("stem_norm.mean"), parameters.output());
    // 3x3 filters of 1, then by stages of 16, 32 and 64 channels; norms; projections; head.
    long filters = 9 * (16 + 2 * 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64);
    long norms = 2 * (16 + 2 * 16 + 3 * 32 + 3 * 64);
    long rest = 16 * 32 + 32 * 64 + 64 * 4 + 4;
    String count = "%,d parameters".formatted(filters + norms + rest);
    assertTrue(parameters.output().contains(count), count + " not in " + parameters.output());
  }
}
