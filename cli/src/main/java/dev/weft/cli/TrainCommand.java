package dev.weft.cli;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.nn.model.GenerativeModel;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.run.RunDirectory;
import dev.weft.runtime.trainer.Generator;
import dev.weft.runtime.trainer.Models;
import dev.weft.runtime.trainer.StagePieces;
import dev.weft.runtime.trainer.TrainConfig;
import dev.weft.runtime.trainer.Trainer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft train}. */
@Command(
    name = "train",
    mixinStandardHelpOptions = true,
    description =
        "Trains a model: without options a small GPT on the Europarl proceedings, with --model unet"
            + " a U-Net and with --model resnet a ResNet on pictures of shapes, with --model mlp a"
            + " classifier on points of a spiral.")
final class TrainCommand implements Callable<Integer> {
  private static final String PROMPT = "The ";

  /** What may change when a run goes on: how long and how fast it trains, and where files lie. */
  private static final Set<String> CHANGEABLE =
      Set.of(
          "steps",
          "learning-rate",
          "warmup",
          "weight-decay",
          "clip",
          "save-every",
          "keep",
          "eval-every",
          "log-every",
          "device-memory",
          "data",
          "classpath");

  /** How many pieces the model has: with these changed, it is cut anew. */
  private static final Set<String> PIECES = Set.of("stages", "chunks", "schedule");

  /**
   * What a checkpoint does not depend on, as it is of the uncut model: what each device does. Sums
   * in another order make other last bits.
   */
  private static final Set<String> PLACES =
      Set.of(
          "stages",
          "chunks",
          "cut",
          "schedule",
          "recompute",
          "recompute-timing",
          "devices",
          "mesh",
          "zero",
          "bucket-bytes",
          "sub-pipeline",
          "collective-matmul");

  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  @Option(names = "--resume", paramLabel = "RUN", description = "go on with the run in this folder")
  @Nullable Path resume;

  @Option(names = "--quiet", description = "print only the result")
  boolean quiet;

  @Override
  public Integer call() {
    TrainConfig config = config();
    Path directory;
    Trainer.Summary summary;
    // A mistake in the options is found before a run's folder is made.
    try (RunDirectory resumed = resume == null ? null : RunDirectory.resume(resume);
        Trainer trainer = resumed == null ? Trainer.open(config) : Trainer.resume(config, resumed);
        RunDirectory run = resumed == null ? create(config) : resumed) {
      directory = run.path();
      summary = train(trainer, named(config, run.name()), run);
    }
    if (!summary.finished()) {
      return Main.INTERRUPTED;
    }
    System.out.println(summary.result());
    if (!quiet) {
      boolean text = Models.readsText(config.model());
      boolean generates =
          text && Models.load(config.model(), config.classpath()) instanceof GenerativeModel;
      if (generates) {
        sample(config, directory);
      }
      System.out.println("go on with:");
      if (generates) {
        System.out.println(
            "  ./weft generate --run " + directory + " --prompt \"The \" --tokens 200");
      }
      if (text) {
        System.out.println("  ./weft eval --run " + directory + " --data FILE");
      }
      System.out.println(
          "  ./weft train --resume " + directory + " --steps " + 2L * config.steps());
    }
    return 0;
  }

  private TrainConfig config() {
    if (resume == null) {
      TrainConfig asked = ConfigOptions.read(spec.commandLine());
      TrainConfig config = cut(asked);
      RunDirectory.unusedName(Runs.DIRECTORY, config.name());
      return config;
    }
    TrainConfig then = Runs.config(resume);
    TrainConfig now = cut(asked(then));
    ObjectNode before = then.resolved().toTree();
    ObjectNode after = now.toTree();
    var moved = new ArrayList<String>();
    for (String key : TrainConfig.keys()) {
      JsonNode kept = before.get(key);
      JsonNode wanted = after.get(key);
      if (kept.equals(wanted)) {
        continue;
      }
      if (PLACES.contains(key)) {
        moved.add("%s %s instead of %s".formatted(key, word(wanted), word(kept)));
      } else if (!CHANGEABLE.contains(key)) {
        throw new UserException(
            "'%s' has %s %s and cannot go on with %s: leave --%s out, or start a new run without --resume"
                .formatted(resume, key, kept.asText(), wanted.asText(), key));
      }
    }
    if (!moved.isEmpty()) {
      System.err.println(
          "note: goes on with %s: the same training, but not bit for bit"
              .formatted(String.join(", ", moved)));
    }
    return now;
  }

  private static String word(JsonNode value) {
    return value.asText().isEmpty() ? "none" : value.asText();
  }

  /** What a run that goes on is asked to be: its cut is not one of another number of pieces. */
  private TrainConfig asked(TrainConfig then) {
    ObjectNode uncut = then.toTree().objectNode();
    uncut.put("cut", "");
    TrainConfig anew =
        ConfigOptions.read(spec.commandLine(), then.with(uncut, "the configuration of the run"));
    ObjectNode before = then.toTree();
    ObjectNode after = anew.toTree();
    return PIECES.stream().allMatch(key -> before.get(key).equals(after.get(key)))
        ? ConfigOptions.read(spec.commandLine(), then)
        : anew;
  }

  private static TrainConfig cut(TrainConfig asked) {
    Optional<StagePieces> cut = asked.foundCut();
    cut.ifPresent(pieces -> pieces.remarks().forEach(r -> System.err.println("note: " + r)));
    return asked.resolved(cut);
  }

  private static RunDirectory create(TrainConfig config) {
    String name = RunDirectory.unusedName(Runs.DIRECTORY, config.name());
    return RunDirectory.create(Runs.DIRECTORY, name, named(config, name).toTree());
  }

  private static TrainConfig named(TrainConfig config, String name) {
    ObjectNode change = config.toTree().objectNode();
    change.put("name", name);
    return config.with(change, "the command line");
  }

  private Trainer.Summary train(Trainer trainer, TrainConfig config, RunDirectory run) {
    LiveLine progress = new LiveLine(System.out, quiet);
    progress.message(
        "training %s in %s: %s, %d steps"
            .formatted(config.model(), run.path(), config.size(), config.steps()));
    Thread main = Thread.currentThread();
    Thread hook =
        new Thread(() -> interrupted(trainer, progress, run.path(), main), "weft-interrupted");
    Runtime.getRuntime().addShutdownHook(hook);
    try {
      return trainer.train(run, progress);
    } finally {
      progress.end();
      removeHook(hook);
    }
  }

  /**
   * What Ctrl-C does: the step that runs is finished and saved before the process ends. A second
   * one does not wait for that; the checkpoints before are whole at any time.
   */
  private static void interrupted(Trainer trainer, LiveLine progress, Path directory, Thread main) {
    Interruption.quitAtNext();
    try {
      progress.message("stopping: finishes the step and saves it; Ctrl-C again quits at once");
      OptionalLong saved = trainer.stop();
      progress.end();
      if (saved.isPresent()) {
        System.out.println(
            "stopped after step "
                + saved.getAsLong()
                + ", saved; go on with: ./weft train --resume "
                + directory);
      } else {
        System.out.println("stopped before anything was saved; start again with: ./weft train");
        // Where it failed rather than stopped, the reason is about to be told.
        main.join(Duration.ofSeconds(1));
      }
      System.out.flush();
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
    }
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
