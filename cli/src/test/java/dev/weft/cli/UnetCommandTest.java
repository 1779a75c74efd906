package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.runtime.run.RunDirectory;
import dev.weft.runtime.trainer.TrainConfig;
import dev.weft.runtime.trainer.Trainer;
import java.io.IOException;
import java.nio.file.Files;
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

  private Path train(String name, TrainConfig config, boolean resume) {
    Path path = folder.resolve(name);
    try (RunDirectory run =
            resume
                ? RunDirectory.resume(path)
                : RunDirectory.create(folder, name, config.toTree());
        Trainer trainer = resume ? Trainer.resume(config, run) : Trainer.open(config)) {
      trainer.train(run, new LiveLine(System.out, true));
    }
    return path;
  }

  private static JsonNode summary(Path run) throws IOException {
    return new ObjectMapper().readTree(run.resolve("summary.json").toFile());
  }

  @Test
  void trainingEndsWithTheShareOfPixelsThatAreRight() throws IOException {
    JsonNode summary = summary(train("unet", config(1), false));
    double early = summary.get("validation_loss_per_pixel").asDouble();
    assertEquals(4 * 16 * 16, summary.get("pixels").asLong());
    JsonNode later = summary(train("longer", config(40), false));
    assertTrue(later.get("validation_loss_per_pixel").asDouble() < early - 0.1, later.toString());
    double accuracy = later.get("pixel_accuracy").asDouble();
    assertTrue(accuracy > 0.5 && accuracy <= 1, later.toString());
  }

  @Test
  void itGoesOnAsIfItHadNeverStopped() throws IOException {
    String model = "checkpoints/step-00000004/model.safetensors";
    byte[] straight = Files.readAllBytes(train("straight", config(4), false).resolve(model));
    // While the rate still grows it does not depend on how many steps there are.
    train("halted", config(2), false);
    assertArrayEquals(
        straight, Files.readAllBytes(train("halted", config(4), true).resolve(model)));
  }

  @Test
  void whatItCannotDoIsSaidPlainly() {
    Path run = train("unet", config(1), false);
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
