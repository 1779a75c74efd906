package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.engine.library.Torch;
import dev.weft.engine.program.Route;
import dev.weft.nn.optimizer.Schedule;
import dev.weft.runtime.checkpoint.AsyncSaver;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.data.Prefetcher;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.run.RunDirectory;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Trains a model, once, from the first step or from a checkpoint. */
public final class Trainer implements AutoCloseable {
  /**
   * What a run came to.
   *
   * @param result how well it did, in a few words; empty where it is not finished
   */
  public record Summary(boolean finished, long step, String result) {}

  /** Where a run begins or goes on: after a step, so many seconds of training in. */
  private record Start(long step, double seconds) {}

  private static final ObjectMapper JSON = new ObjectMapper();

  private final TrainConfig config;
  private final Task task;
  private final Session session;
  private final double matmulPeak;
  private final Start start;

  private final CountDownLatch safe = new CountDownLatch(1);
  private volatile boolean stopped;
  private volatile long savedStep;
  private double trained;

  private Trainer(TrainConfig config, @Nullable RunDirectory resumed) {
    this.config = config;
    this.task = Task.of(config);
    this.matmulPeak = Machine.matmulPeak(config.computeType(), config.cores());
    this.session = Session.open(config, resumed == null ? Map.of() : routes(resumed));
    try {
      this.start = resumed == null ? begin() : restore(resumed);
    } catch (RuntimeException e) {
      session.close();
      throw e;
    }
  }

  /**
   * Makes data, model and device ready; nothing is written but caches.
   *
   * @throws UserException if the data, the model or the memory do not allow to train
   */
  public static Trainer open(TrainConfig config) {
    return new Trainer(config, null);
  }

  /**
   * Makes all ready to go on from a run's latest checkpoint; the run is not changed yet.
   *
   * @param run opened to train; stays the caller's to close
   * @throws UserException also if the run has no checkpoint, or it is damaged, or cannot go on with
   *     what is given now
   */
  public static Trainer resume(TrainConfig config, RunDirectory run) {
    return new Trainer(config, run);
  }

  /**
   * Asks for an end after the step that runs now, and waits until it is saved or cannot be.
   *
   * @return the latest step that is saved; empty where none is
   * @throws InterruptedException if the waiting thread is interrupted
   */
  public OptionalLong stop() throws InterruptedException {
    stopped = true;
    safe.await();
    return savedStep > 0 ? OptionalLong.of(savedStep) : OptionalLong.empty();
  }

  /**
   * Trains.
   *
   * @param run where to write; stays the caller's to close
   */
  public Summary train(RunDirectory run, Progress progress) {
    try {
      run.writeConfig(config.toTree());
      session.remarks().forEach(remark -> progress.message("warning: " + remark));
      if (config.paddedRows() > 0) {
        progress.message(padding());
      }
      Summary steps = steps(run, progress);
      safe.countDown();
      return steps.finished() ? finish(run, steps.step()) : steps;
    } finally {
      safe.countDown();
    }
  }

  private String padding() {
    return "%d micro-batches of %d rows have %d more than the batch of %d: the last %s do not count"
        .formatted(
            config.microBatches(),
            config.microBatchRows(),
            config.paddedRows(),
            config.batch(),
            config.paddedRows());
  }

  private Summary steps(RunDirectory run, Progress progress) {
    var schedule = new Schedule(config.learningRate(), config.warmup(), config.steps());
    long first = start.step() + 1;
    long began = System.nanoTime();
    long logged = began;
    long loggedStep = start.step();
    long step = start.step();
    savedStep = step;
    trained = start.seconds();
    var recorder = new StepRecorder(run.trace(), first);
    try (var metrics = run.metrics(step);
        var prefetcher = new Prefetcher(task.training(), first, 2);
        var saver = new AsyncSaver(run.checkpoints(config.keep()))) {
      boolean ending = stopped;
      while (step < config.steps() && !ending) {
        step++;
        double rate = schedule.rate(step);
        Session.StepResult result =
            session.step(
                step,
                rate,
                (_, input) -> {
                  Prefetcher.Batch batch = prefetcher.next();
                  input.apply(task.inputs()).copyFrom(batch.inputs());
                  input.apply(task.targets()).copyFrom(batch.targets());
                });
        if (step == first) {
          // All graphs are compiled and linked now: what that left over goes back to the system.
          System.gc();
        }
        // Looked at once a step: what asks for an end later ends after the next step.
        ending = stopped;
        // Where it stops is told too; where it goes on is shown only, so that the log has the lines
        // of a run that never stopped.
        boolean due =
            step % config.logEvery() == 0 || step == config.steps() || step == 1 || ending;
        if (due || step == first) {
          long now = System.nanoTime();
          double seconds = (now - logged) * 1e-9 / (step - loggedStep);
          double flops = session.flopsPerStep() / seconds;
          var line =
              new Progress.Logged(
                  step,
                  config.steps(),
                  result.loss(),
                  rate,
                  result.gradientNorm(),
                  task.unit(),
                  task.unitsPerStep() / seconds,
                  flops,
                  flops / matmulPeak,
                  session.memory().count(),
                  start.seconds() + (now - began) * 1e-9,
                  (config.steps() - step) * seconds);
          if (due) {
            metrics.append(json(line));
          }
          progress.logged(line);
          recorder.record(step, session).ifPresent(progress::message);
          logged = now;
          loggedStep = step;
        }
        if (config.evalEvery() > 0 && step % config.evalEvery() == 0 && step < config.steps()) {
          progress.message("step %d: %s".formatted(step, task.glance(session)));
        }
        boolean last = step == config.steps() || ending;
        if (last || (config.saveEvery() > 0 && step % config.saveEvery() == 0)) {
          trained = start.seconds() + (System.nanoTime() - began) * 1e-9;
          saver.save(content(step));
          if (last) {
            saver.await();
          }
          savedStep = step;
        }
        if (last) {
          recorder.write().ifPresent(progress::message);
        }
      }
    }
    return new Summary(step >= config.steps(), step, "");
  }

  private Summary finish(RunDirectory run, long step) {
    ObjectNode summary = JSON.createObjectNode();
    String result = task.measure(session, summary);
    summary.put("steps", step);
    summary.put(task.unit(), step * task.unitsPerStep());
    summary.put("seconds", trained);
    summary.put("peak_memory_bytes", session.peakMemory().count());
    summary.put("predicted_peak_memory_bytes", session.predictedPeak().count());
    run.writeSummary(summary);
    return new Summary(true, step, result);
  }

  private static ObjectNode json(Progress.Logged step) {
    ObjectNode line = JSON.createObjectNode();
    line.put("step", step.step());
    line.put("loss", step.loss());
    line.put("learning_rate", step.learningRate());
    line.put("grad_norm", step.gradientNorm());
    line.put(step.unit() + "_per_second", step.unitsPerSecond());
    line.put("flops_per_second", step.flopsPerSecond());
    line.put("memory_bytes", step.memoryBytes());
    line.put("seconds", step.seconds());
    return line;
  }

  private Checkpoint.Content content(long step) {
    ObjectNode state = JSON.createObjectNode();
    state.put("data", task.identity());
    state.put("threads", session.threads());
    state.put("libtorch", Torch.instance().version().toString());
    state.put("blas", Torch.instance().blas());
    state.put("seconds", trained);
    ObjectNode routes = state.putObject("routes");
    session.routes().forEach((op, route) -> routes.put(op, route.toString()));
    state.set("config", config.toTree());
    return new Checkpoint.Content(step, session.model(), session.optimizer(), state);
  }

  private Start begin() {
    session.initialize();
    return new Start(0, 0);
  }

  private static Checkpoint latest(RunDirectory run) {
    return run.checkpoints()
        .latest()
        .orElseThrow(
            () ->
                new UserException(
                    "'"
                        + run.path()
                        + "' has no checkpoint to go on from; train without --resume"));
  }

  /** How the run computed its ops until now: another way would change the last bits. */
  private static Map<String, Route> routes(RunDirectory run) {
    try (Checkpoint checkpoint = latest(run)) {
      var routes = new HashMap<String, Route>();
      for (var entry : checkpoint.state().path("routes").properties()) {
        String text = entry.getValue().asText();
        Route route =
            Arrays.stream(Route.values())
                .filter(r -> r.toString().equals(text))
                .findFirst()
                .orElseThrow(
                    () ->
                        new UserException(
                            "the run cannot go on as it was: this Weft knows no way '%s' to compute %s"
                                .formatted(text, entry.getKey())));
        routes.put(entry.getKey(), route);
      }
      return routes;
    }
  }

  private Start restore(RunDirectory run) {
    try (Checkpoint checkpoint = latest(run)) {
      if (checkpoint.step() > config.steps()) {
        throw new UserException(
            "'%s' has done %d steps, more than the %d of --steps: ask for more steps, or leave --steps out"
                .formatted(run.path(), checkpoint.step(), config.steps()));
      }
      ObjectNode state = checkpoint.state();
      same("data", state.path("data").asText(), task.identity());
      if (sameDevices(state.path("config"))) {
        same(
            "number of threads (--threads)",
            state.path("threads").asText(),
            Integer.toString(session.threads()));
      }
      same(
          "libtorch version (WEFT_LIBTORCH)",
          state.path("libtorch").asText(),
          Torch.instance().version().toString());
      same("matrix library", state.path("blas").asText(), Torch.instance().blas());
      session.restore(checkpoint, true);
      return new Start(checkpoint.step(), state.path("seconds").asDouble());
    }
  }

  /** Whether the last bits can be those that the devices before would have come to. */
  private boolean sameDevices(JsonNode then) {
    ObjectNode now = config.toTree();
    return Stream.of("stages", "mesh", "devices")
        .allMatch(key -> then.path(key).asText().equals(now.path(key).asText()));
  }

  private static void same(String what, String then, String now) {
    if (!then.equals(now)) {
      throw new UserException(
          "the run cannot go on as it was: its " + what + " was " + then + ", now it is " + now);
    }
  }

  @Override
  public void close() {
    session.close();
  }
}
