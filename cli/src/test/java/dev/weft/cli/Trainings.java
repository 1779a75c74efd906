package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.weft.runtime.run.RunDirectory;
import dev.weft.runtime.trainer.TrainConfig;
import dev.weft.runtime.trainer.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.IntFunction;

/** Trainings in this process, each in a run's folder. */
final class Trainings {
  private Trainings() {}

  /** Trains from the beginning. */
  static Path train(Path folder, String name, TrainConfig config) {
    try (Trainer trainer = Trainer.open(config);
        RunDirectory run = RunDirectory.create(folder, name, config.toTree())) {
      trainer.train(run, new LiveLine(System.out, true));
    }
    return folder.resolve(name);
  }

  /** Goes on with a training. */
  private static Path resume(Path path, TrainConfig config) {
    try (RunDirectory run = RunDirectory.resume(path);
        Trainer trainer = Trainer.resume(config, run)) {
      trainer.train(run, new LiveLine(System.out, true));
    }
    return path;
  }

  static JsonNode summary(Path run) throws IOException {
    return new ObjectMapper().readTree(run.resolve("summary.json").toFile());
  }

  /**
   * Two steps and two more come to the parameters that four steps come to, bit for bit.
   *
   * @param config of a training of so many steps, whose rate still grows: then it does not depend
   *     on how many there are
   */
  static void assertGoesOn(Path folder, IntFunction<TrainConfig> config) throws IOException {
    String model = "checkpoints/step-00000004/model.safetensors";
    byte[] straight = Files.readAllBytes(train(folder, "straight", config.apply(4)).resolve(model));
    Path halted = train(folder, "halted", config.apply(2));
    assertArrayEquals(straight, Files.readAllBytes(resume(halted, config.apply(4)).resolve(model)));
  }
}
