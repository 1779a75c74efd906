package dev.weft.cli;

import dev.weft.core.cluster.UserException;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.run.RunDirectory;
import dev.weft.runtime.trainer.TrainConfig;
import java.nio.file.Path;

/** Folders of runs. */
final class Runs {
  private Runs() {}

  /** Where the folders of runs are. */
  static final Path DIRECTORY = Path.of("runs");

  static TrainConfig config(Path run) {
    return TrainConfig.of(RunDirectory.read(run));
  }

  /** The latest checkpoint of a run. */
  static Checkpoint checkpoint(Path run) {
    return RunDirectory.read(run)
        .checkpoints()
        .latest()
        .orElseThrow(() -> new UserException("'" + run + "' has no checkpoint yet"));
  }
}
