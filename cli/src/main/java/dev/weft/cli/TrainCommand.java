package dev.weft.cli;

import dev.weft.core.cluster.UserException;
import dev.weft.nn.model.GenerativeModel;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.run.RunDirectory;
import dev.weft.runtime.trainer.Generator;
import dev.weft.runtime.trainer.TrainConfig;
import dev.weft.runtime.trainer.Trainer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft train}. */
@Command(
    name = "train",
    mixinStandardHelpOptions = true,
    description =
        "Trains a model on text; without options a small GPT on the Europarl proceedings.")
final class TrainCommand implements Callable<Integer> {
  private static final int INTERRUPTED = 130;
  private static final String PROMPT = "The ";

  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  @Option(names = "--resume", paramLabel = "RUN", description = "go on with the run in this folder")
  Path resume;

  @Option(names = "--quiet", description = "print only the result")
  boolean quiet;

  @Override
  public Integer call() {
    TrainConfig base = resume == null ? TrainConfig.DEFAULT : Runs.config(resume);
    TrainConfig config = ConfigOptions.read(spec.commandLine(), base);
    if (resume != null) {
      sameModel(base, config);
    }
    if (resume == null) {
      config = renamed(config, RunDirectory.unusedName(Runs.DIRECTORY, config.name()));
    }
    // Opened last: a mistake in the options must not leave an empty run.
    config.computeType();
    config.modelConfig();
    Trainer.dataset(config);
    try (RunDirectory run =
        resume == null
            ? RunDirectory.create(Runs.DIRECTORY, config.name(), config.toTree())
            : RunDirectory.resume(resume)) {
      return train(config, run);
    }
  }

  private int train(TrainConfig config, RunDirectory run) {
    Path directory = run.path();
    LiveLine progress = new LiveLine(System.out, quiet);
    Trainer trainer = new Trainer(config, run, progress);
    CountDownLatch done = new CountDownLatch(1);
    Thread hook =
        new Thread(
            () -> {
              trainer.stop();
              try {
                done.await(1, TimeUnit.MINUTES);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
    Runtime.getRuntime().addShutdownHook(hook);
    Trainer.Summary summary;
    try {
      if (!quiet) {
        System.out.println(
            "training %s in %s: %d layers, hidden %d, sequence %d, batch %d, %d steps"
                .formatted(
                    config.model(),
                    directory,
                    config.layers(),
                    config.hidden(),
                    config.sequence(),
                    config.batch(),
                    config.steps()));
      }
      summary = trainer.train(resume != null);
      progress.end();
      if (!summary.finished()) {
        System.out.println(
            "stopped after step "
                + summary.step()
                + ", saved; go on with: ./weft train --resume "
                + directory);
        System.out.flush();
        return INTERRUPTED;
      }
    } finally {
      done.countDown();
      removeHook(hook);
    }
    System.out.printf(
        "validation loss %.4f nats per byte; a trigram table has %.4f%n",
        summary.validationLossPerByte(), summary.trigramLossPerByte());
    if (!quiet) {
      sample(config, directory);
      System.out.println("go on with:");
      System.out.println(
          "  ./weft generate --run " + directory + " --prompt \"The \" --tokens 200");
      System.out.println("  ./weft eval --run " + directory + " --data FILE");
    }
    return 0;
  }

  /**
   * A resumed run keeps its model and its batches; how long it goes on and what it logs may change.
   */
  private static void sameModel(TrainConfig then, TrainConfig now) {
    if (!then.model().equals(now.model())
        || !then.modelConfig().equals(now.modelConfig())
        || then.batch() != now.batch()
        || then.microBatches() != now.microBatches()
        || then.seed() != now.seed()
        || !then.dtype().equals(now.dtype())
        || !then.optimizer().equals(now.optimizer())
        || !then.data().equals(now.data())) {
      throw new UserException(
          "--resume goes on with the run's own model, data, batch, seed, dtype and optimizer: leave"
              + " these options out, or start a new run");
    }
  }

  private static TrainConfig renamed(TrainConfig config, String name) {
    var change = config.toTree().objectNode();
    change.put("name", name);
    return config.with(change, "the command line");
  }

  private static void removeHook(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException _) {
      // The end has begun: the hook is what runs.
      return;
    }
  }

  private static void sample(TrainConfig config, Path directory) {
    if (!config.model().equals("gpt") && !GenerativeModel.class.getName().equals(config.model())) {
      return;
    }
    System.out.println("a sample:");
    try (Checkpoint checkpoint = Runs.checkpoint(directory);
        Generator generator = Generator.open(config, checkpoint)) {
      Utf8Printer printer = new Utf8Printer(System.out);
      System.out.print(PROMPT);
      generator.generate(
          PROMPT.getBytes(StandardCharsets.UTF_8), 200, 0.8, 40, config.seed(), printer::print);
      printer.end();
    }
  }
}
