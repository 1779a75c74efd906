package dev.weft.cli;

import dev.weft.core.cluster.UserException;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.CheckpointStore;
import dev.weft.runtime.trainer.TrainConfig;
import java.nio.file.Files;
import java.nio.file.Path;

/** Folders of runs. */
final class Runs {
  private Runs() {}

  /** The folder of a run of that name. */
  static Path directory(String name) {
    if (!name.matches("[A-Za-z0-9][A-Za-z0-9._-]*")) {
      throw new UserException(
          "--name is made of letters, digits, '.', '_' and '-', found '" + name + "'");
    }
    return Path.of("runs", name);
  }

  static TrainConfig config(Path run) {
    Path file = run.resolve("config.yaml");
    if (!Files.isRegularFile(file)) {
      throw new UserException(
          "'" + run + "' is no run: it has no config.yaml; give a folder like runs/gpt");
    }
    return TrainConfig.DEFAULT.withFile(file);
  }

  static Checkpoint checkpoint(Path run) {
    return CheckpointStore.forReading(run.resolve("checkpoints"))
        .latest()
        .orElseThrow(() -> new UserException("'" + run + "' has no checkpoint yet"));
  }
}
