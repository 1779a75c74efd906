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

final class UnetCommandTest {
  @TempDir Path folder;

  private static TrainConfig config(int steps) {
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("steps", steps).put("threads", 1).put("image", 16).put("layers", 1);
    changes.put("hidden", 4).put("batch", 4).put("micro-batches", 2).put("log-every", 1);
    return TrainConfig.defaultsOf("unet").with(changes, "the test").resolved();
  }

  @Test
  void trainingEndsWithTheShareOfPixelsThatAreRight() throws IOException {
    JsonNode summary = Trainings.summary(Trainings.train(folder, "unet", config(1)));
    double early = summary.get("validation_loss_per_pixel").asDouble();
    assertEquals(4 * 16 * 16, summary.get("pixels").asLong());
    JsonNode later = Trainings.summary(Trainings.train(folder, "longer", config(40)));
    assertTrue(later.get("validation_loss_per_pixel").asDouble() < early - 0.1, later.toString());
    double accuracy = later.get("pixel_accuracy").asDouble();
    assertTrue(accuracy > 0.5 && accuracy <= 1, later.toString());
  }

  @Test
  void itGoesOnAsIfItHadNeverStopped() throws IOException {
    Trainings.assertGoesOn(folder, UnetCommandTest::config);
  }

  @Test
  void whatItCannotDoIsSaidPlainly() {
    Path run = Trainings.train(folder, "unet", config(1));
    var eval = WeftProcess.runHere("eval", "--run", run, "--data", folder.resolve("text.txt"));
    assertEquals(Main.USER_MISTAKE, eval.code(), eval.output());
    var text = WeftProcess.runHere("train", "--model", "unet", "--data", "text.txt");
    assertEquals(Main.USER_MISTAKE, text.code(), text.output());
    assertTrue(text.output().contains("leave --data out"), text.output());
    var odd = WeftProcess.runHere("train", "--model", "unet", "--image", "36");
    assertEquals(Main.USER_MISTAKE, odd.code(), odd.output());
    assertTrue(odd.output().contains("36 x 36"), odd.output());
    var size = WeftProcess.runHere("inspect", "parameters", "--model", "unet", "--hidden", "5");
    assertEquals(0, size.code(), size.output());
    assertTrue(size.output().contains("f32[5,1,3,3]"), size.output());
  }
}
