package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.runtime.run.RunDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A run whose process is killed goes on bit for bit. */
final class ResumeTest {
  private static final int STEPS = 24;
  private static final int SAVED = 8;

  @TempDir Path directory;

  /** What the process that is killed runs. */
  public static void main(String[] arguments) {
    train(config(Path.of(arguments[0])), Path.of(arguments[1]), false);
  }

  private static void train(TrainConfig config, Path run, boolean resume) {
    Path runs = run.getParent();
    String name = run.getFileName().toString();
    try (RunDirectory directory =
            resume ? RunDirectory.resume(run) : RunDirectory.create(runs, name, config.toTree());
        Trainer trainer = resume ? Trainer.resume(config, directory) : Trainer.open(config)) {
      trainer.train(directory, new Silent());
    }
  }

  private record Silent() implements Progress {
    @Override
    public void logged(Logged step) {}

    @Override
    public void message(String text) {}
  }

  private static TrainConfig config(Path text) {
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("steps", STEPS);
    changes.put("save-every", SAVED);
    changes.put("layers", 2);
    changes.put("hidden", 32);
    changes.put("heads", 2);
    changes.put("sequence", 16);
    changes.put("batch", 8);
    changes.put("micro-batches", 2);
    changes.put("dropout", 0.1);
    changes.put("log-every", 1);
    changes.put("threads", 1);
    changes.putArray("data").add(text.toString());
    return TrainConfig.DEFAULT.with(changes, "the test");
  }

  @Test
  void aKilledRunGoesOnBitForBit() throws Exception {
    Path text = directory.resolve("text.txt");
    Files.writeString(text, "The cat sat on the mat, and the dog looked on. ".repeat(200));
    Path straight = directory.resolve("straight");
    train(config(text), straight, false);

    Path broken = directory.resolve("broken");
    Process process = start(text, broken);
    Path checkpoint = broken.resolve("checkpoints/step-%08d".formatted(SAVED));
    long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(2);
    while (!Files.exists(checkpoint) && process.isAlive() && System.nanoTime() < deadline) {
      Thread.sleep(2);
    }
    process.destroyForcibly().waitFor();
    assertTrue(Files.exists(checkpoint), "the process saved before it was killed");

    train(config(text), broken, true);
    for (String file : List.of("model.safetensors", "optimizer.safetensors")) {
      Path last = Path.of("checkpoints/step-%08d".formatted(STEPS), file);
      assertArrayEquals(
          Files.readAllBytes(straight.resolve(last)), Files.readAllBytes(broken.resolve(last)));
    }
    List<Double> losses = losses(straight);
    assertEquals(STEPS, losses.size());
    assertEquals(losses, losses(broken));
    assertNotEquals(losses.getFirst(), losses.getLast());
  }

  private static List<Double> losses(Path run) throws IOException {
    var losses = new ArrayList<Double>();
    for (String line : Files.readAllLines(run.resolve("metrics.jsonl"))) {
      losses.add(new ObjectMapper().readTree(line).get("loss").asDouble());
    }
    return losses;
  }

  private static Process start(Path text, Path run) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("java.class.path"),
            ResumeTest.class.getName(),
            text.toString(),
            run.toString())
        .inheritIO()
        .start();
  }
}
