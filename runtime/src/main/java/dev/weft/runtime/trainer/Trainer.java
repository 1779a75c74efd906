package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.engine.library.Torch;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.optimizer.Schedule;
import dev.weft.runtime.checkpoint.AsyncSaver;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.CheckpointStore;
import dev.weft.runtime.data.BatchSampler;
import dev.weft.runtime.data.EuroparlText;
import dev.weft.runtime.data.EvaluationWindows;
import dev.weft.runtime.data.Prefetcher;
import dev.weft.runtime.data.TextFile;
import dev.weft.runtime.data.TextSource;
import dev.weft.runtime.data.TokenDataset;
import dev.weft.runtime.data.TrigramTable;
import dev.weft.runtime.run.MetricsLog;
import dev.weft.runtime.run.RunDirectory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Trains a model on text, from the first step or from a checkpoint. */
public final class Trainer {
  /** What a run came to. */
  public record Summary(
      boolean finished, long step, double validationLossPerByte, double trigramLossPerByte) {}

  /** At most so many windows for an evaluation in between. */
  private static final long QUICK_WINDOWS = 2048;

  private static final ObjectMapper JSON = new ObjectMapper();

  private final TrainConfig config;
  private final RunDirectory run;
  private final Progress progress;
  private volatile boolean stopped;

  /** A trainer that writes into a run's folder, which stays the caller's to close. */
  public Trainer(TrainConfig config, RunDirectory run, Progress progress) {
    this.config = config;
    this.run = run;
    this.progress = progress;
  }

  /** Asks for an end after the step that runs now. */
  public void stop() {
    stopped = true;
  }

  /** The texts that a configuration names. */
  public static TokenDataset dataset(TrainConfig config) {
    List<TextSource> sources = new ArrayList<>();
    config.data().forEach(file -> sources.add(new TextFile(Path.of(file))));
    if (sources.isEmpty()) {
      sources.add(new EuroparlText());
    }
    return TokenDataset.open(Caches.directory().resolve("tokens"), sources);
  }

  /**
   * Trains.
   *
   * @param resume whether to go on from the latest checkpoint
   */
  public Summary train(boolean resume) {
    TokenDataset dataset = dataset(config);
    if (config.vocabulary() < 256) {
      throw new UserException(
          "vocabulary must be at least 256, for tokens are bytes; found " + config.vocabulary());
    }
    if (dataset.validation().count() <= config.sequence()) {
      throw new UserException(
          "the held-out twentieth of the text has "
              + dataset.validation().count()
              + " bytes, too few for a sequence of "
              + config.sequence()
              + ": train on a longer text or choose a shorter sequence");
    }
    var sampler =
        new BatchSampler(
            dataset.training(),
            config.sequence(),
            config.batch(),
            config.microBatches(),
            config.seed());
    int rows = config.batch() / config.microBatches();
    EvaluationWindows validation =
        EvaluationWindows.of(
            "the held-out text", dataset.validation(), config.sequence(), rows, TokenModel.IGNORED);
    CheckpointStore store = run.checkpoints(config.keep());
    try (Session session = Session.open(config)) {
      long first = 1;
      if (resume) {
        first = restore(session, store, dataset) + 1;
      } else {
        session.initialize();
      }
      return loop(session, store, sampler, validation, dataset, first);
    }
  }

  private Summary loop(
      Session session,
      CheckpointStore store,
      BatchSampler sampler,
      EvaluationWindows validation,
      TokenDataset dataset,
      long first) {
    double peak = Machine.matmulPeak(config.computeType(), session.device().threads());
    long predicted = session.predictedPeak().count();
    var schedule = new Schedule(config.learningRate(), config.warmup(), config.steps());
    long start = System.nanoTime();
    long logged = start;
    long loggedStep = first - 1;
    long step = first - 1;
    long saved = first - 1;
    try (var metrics = run.metrics(first - 1);
        var prefetcher = new Prefetcher(sampler, first, 2);
        var saver = new AsyncSaver(store)) {
      while (step < config.steps() && !stopped) {
        step++;
        double rate = schedule.rate(step);
        Session.StepResult result =
            session.step(
                step,
                rate,
                (_, input) -> {
                  Prefetcher.Batch batch = prefetcher.next();
                  input.apply("tokens").copyFrom(batch.inputs());
                  input.apply("targets").copyFrom(batch.targets());
                });
        if (step % config.logEvery() == 0 || step == config.steps() || step == first) {
          long now = System.nanoTime();
          double seconds = (now - logged) * 1e-9 / (step - loggedStep);
          double flops = session.flopsPerStep() / seconds;
          log(
              metrics,
              new Progress.Logged(
                  step,
                  config.steps(),
                  result.loss(),
                  rate,
                  result.gradientNorm(),
                  (double) config.batch() * config.sequence() / seconds,
                  flops,
                  flops / peak,
                  session.device().memory().current().count(),
                  (now - start) * 1e-9,
                  (config.steps() - step) * seconds));
          logged = now;
          loggedStep = step;
        }
        if (config.evalEvery() > 0 && step % config.evalEvery() == 0 && step < config.steps()) {
          double loss = session.evaluate(validation.atMost(QUICK_WINDOWS));
          progress.message("step %d: validation loss %.4f nats per byte".formatted(step, loss));
        }
        if (config.saveEvery() > 0 && step % config.saveEvery() == 0 && step < config.steps()) {
          saver.save(content(session, dataset, step));
          saved = step;
        }
      }
      if (saved != step && step >= first) {
        saver.save(content(session, dataset, step));
      }
      saver.await();
    }
    double seconds = (System.nanoTime() - start) * 1e-9;
    if (step < config.steps()) {
      return new Summary(false, step, Double.NaN, Double.NaN);
    }
    double loss = session.evaluate(validation);
    double trigram = new TrigramTable(dataset.training()).loss(dataset.validation());
    ObjectNode summary = JSON.createObjectNode();
    summary.put("validation_loss_per_byte", loss);
    summary.put("trigram_loss_per_byte", trigram);
    summary.put("steps", step);
    summary.put("tokens", step * config.batch() * config.sequence());
    summary.put("seconds", seconds);
    summary.put("peak_memory_bytes", session.device().memory().peak().count());
    summary.put("predicted_peak_memory_bytes", predicted);
    run.writeSummary(summary);
    return new Summary(true, step, loss, trigram);
  }

  private void log(MetricsLog metrics, Progress.Logged step) {
    ObjectNode line = JSON.createObjectNode();
    line.put("step", step.step());
    line.put("loss", step.loss());
    line.put("learning_rate", step.learningRate());
    line.put("grad_norm", step.gradientNorm());
    line.put("tokens_per_second", step.tokensPerSecond());
    line.put("flops_per_second", step.flopsPerSecond());
    line.put("memory_bytes", step.memoryBytes());
    line.put("seconds", step.seconds());
    metrics.append(line);
    progress.logged(step);
  }

  private Checkpoint.Content content(Session session, TokenDataset dataset, long step) {
    ObjectNode state = JSON.createObjectNode();
    state.put("data", dataset.identity());
    state.put("threads", session.device().threads());
    state.put("libtorch", Torch.instance().version().toString());
    state.put("blas", Torch.instance().blas());
    state.set("config", config.toTree());
    return new Checkpoint.Content(step, session.model(), session.optimizer(), state);
  }

  private long restore(Session session, CheckpointStore store, TokenDataset dataset) {
    Checkpoint latest =
        store
            .latest()
            .orElseThrow(
                () ->
                    new UserException(
                        "'"
                            + run.path()
                            + "' has no checkpoint to go on from; train without --resume"));
    try (Checkpoint checkpoint = latest) {
      ObjectNode state = checkpoint.state();
      same("text", state.path("data").asText(), dataset.identity());
      same(
          "number of threads (--threads)",
          state.path("threads").asText(),
          Integer.toString(session.device().threads()));
      same(
          "libtorch version (WEFT_LIBTORCH)",
          state.path("libtorch").asText(),
          Torch.instance().version().toString());
      same("matrix library", state.path("blas").asText(), Torch.instance().blas());
      session.restore(checkpoint, true);
      return checkpoint.step();
    }
  }

  private static void same(String what, String then, String now) {
    if (!then.equals(now)) {
      throw new UserException(
          "the run cannot go on as it was: its " + what + " was " + then + ", now it is " + now);
    }
  }
}
