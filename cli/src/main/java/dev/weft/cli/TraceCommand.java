package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.UserException;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Timeline;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.runtime.cluster.ClusterFile;
import dev.weft.runtime.run.RunDirectory;
import dev.weft.runtime.trace.ChromeTrace;
import dev.weft.runtime.trace.Comparison;
import dev.weft.runtime.trace.RunTrace;
import dev.weft.runtime.trace.StepTrace;
import dev.weft.runtime.trace.TimelinePage;
import dev.weft.runtime.trace.TimelineText;
import dev.weft.runtime.trainer.TrainConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code weft trace}. */
@Command(
    name = "trace",
    mixinStandardHelpOptions = true,
    description =
        "What devices really did when in the last logged step of a run: a page, a trace for"
            + " Perfetto, and a summary; with --compare beside what the simulator says.")
final class TraceCommand implements Callable<Integer> {
  private static final int COLUMNS = 100;
  private static final int MOST_LINES = 64;

  @Parameters(paramLabel = "RUN", description = "folder of the run")
  Path run;

  @Option(
      names = "--compare",
      description = "simulates the same program, and shows both, per fragment too")
  boolean compare;

  @Option(
      names = "--cluster",
      paramLabel = "NAME",
      description =
          "what to simulate on: a file of ./weft cluster profile, a preset, or local (default:"
              + " cluster.json in the folder of the run, else local)")
  @Nullable String cluster;

  @Option(names = "--format", defaultValue = "text", description = "text or json")
  EvalCommand.Format format;

  @Option(
      names = "--html",
      paramLabel = "FILE",
      description = "where to write the page (default: trace/timeline.html in the run's folder)")
  @Nullable Path html;

  @Option(
      names = "--trace",
      paramLabel = "FILE",
      description =
          "where to write what Perfetto reads (default: trace/perfetto.json in the run's folder)")
  @Nullable Path trace;

  @Override
  public Integer call() {
    if (cluster != null && !compare) {
      throw new UserException("--cluster says what to simulate on: add --compare");
    }
    RunDirectory directory = RunDirectory.read(run);
    TrainConfig config = TrainConfig.of(directory);
    if (!Files.isDirectory(directory.trace())) {
      throw new UserException(
          "'%s' has no trace: training writes one after 30 s and at its end; go on with ./weft train --resume %s if it was killed before"
              .formatted(run, run));
    }
    RunTrace found = RunTrace.read(directory.trace());
    return compare ? compare(directory, config, found) : show(directory, config, found);
  }

  private int show(RunDirectory directory, TrainConfig config, RunTrace found) {
    StepTrace last = found.steps().getLast();
    Timeline timeline = last.whole(config.name() + ", step " + last.step());
    Path page = write(html, directory, "timeline.html", TimelinePage.of(timeline));
    Path events = write(trace, directory, "perfetto.json", ChromeTrace.of(timeline).toString());
    if (format == EvalCommand.Format.JSON) {
      ObjectNode tree = new ObjectMapper().createObjectNode();
      tree.put("run", run.toString()).put("step", last.step());
      tree.put("seconds", StepTrace.makespan(timeline));
      ArrayNode programs = tree.putArray("programs");
      for (Timeline program : last.programs()) {
        programs
            .addObject()
            .put("name", program.title())
            .put("seconds", StepTrace.makespan(program))
            .put("bubble", Comparison.bubble(found.program(), program));
      }
      ArrayNode stages = tree.putArray("per_stage");
      for (StageProgram stage : found.program().stages()) {
        stages
            .addObject()
            .put("devices", stage.mesh().size())
            .put("busy_seconds", busy(last.gradients(), stage))
            .put("waiting_seconds", waiting(last.gradients(), stage));
      }
      tree.put("html", page.toString()).put("trace", events.toString());
      System.out.println(tree);
    } else {
      System.out.print(text(found, timeline));
      System.out.print(written(page, events));
    }
    System.out.flush();
    return 0;
  }

  /** The mean over a stage's devices. */
  private static double busy(Timeline timeline, StageProgram stage) {
    return StepTrace.busy(timeline, stage.stage()) / stage.mesh().size();
  }

  private static double waiting(Timeline timeline, StageProgram stage) {
    return StepTrace.waiting(timeline, stage.stage()) / stage.mesh().size();
  }

  private static String text(RunTrace found, Timeline whole) {
    StepTrace last = found.steps().getLast();
    var text = new StringBuilder(whole.title()).append('\n');
    for (Timeline program : last.programs()) {
      text.append(
          String.format(
              Locale.ROOT,
              "%-8s %10.3f ms, bubble %.2f %%%n",
              program.title(),
              1e3 * StepTrace.makespan(program),
              100 * Comparison.bubble(found.program(), program)));
    }
    double makespan = StepTrace.makespan(last.gradients());
    text.append("\n stage     busy ms     idle ms  collectives ms\n");
    List<StageProgram> stages = found.program().stages();
    for (StageProgram stage : stages.subList(0, Math.min(MOST_LINES, stages.size()))) {
      double busy = busy(last.gradients(), stage);
      text.append(
          String.format(
              Locale.ROOT,
              "%6d %11.3f %11.3f %15.3f%n",
              stage.stage(),
              1e3 * busy,
              1e3 * (makespan - busy),
              1e3 * waiting(last.gradients(), stage)));
    }
    text.append("\n stage\n");
    TimelineText.of(whole, COLUMNS).stream()
        .limit(MOST_LINES)
        .forEach(line -> text.append(line).append('\n'));
    return text.toString();
  }

  private int compare(RunDirectory directory, TrainConfig config, RunTrace found) {
    Cluster simulatedOn = cluster(directory, config, found);
    int devices = found.program().stages().getFirst().mesh().size();
    Simulation simulation =
        Simulator.simulate(
            found.program(),
            ClusterCosts.of(simulatedOn, found.program().stages().size(), devices));
    Comparison comparison = Comparison.of(found, simulation);
    StepTrace last = found.steps().getLast();
    List<Timeline> both =
        List.of(
            titled(last.gradients(), "real, step " + last.step()),
            simulation.timeline("simulated on " + simulatedOn.name()));
    Path page =
        write(
            html,
            directory,
            "compare.html",
            TimelinePage.of(config.name() + ", real and simulated", both));
    Path events = write(trace, directory, "compare-perfetto.json", ChromeTrace.of(both).toString());
    var report = new ComparisonReport(config.name(), simulatedOn.name(), found, comparison);
    if (format == EvalCommand.Format.JSON) {
      System.out.println(
          report.json().put("html", page.toString()).put("trace", events.toString()));
    } else {
      System.out.print(report.text());
      System.out.print(written(page, events));
    }
    System.out.flush();
    return 0;
  }

  private static Timeline titled(Timeline timeline, String title) {
    return new Timeline(title, timeline.events(), timeline.waits(), timeline.levels());
  }

  /** What was measured for this run, or of this machine, unless the user says otherwise. */
  private Cluster cluster(RunDirectory directory, TrainConfig config, RunTrace found) {
    int devices = found.program().stages().stream().mapToInt(stage -> stage.mesh().size()).sum();
    Path own = directory.path().resolve("cluster.json");
    boolean measured = cluster == null && Files.exists(own);
    String profile =
        "./weft cluster profile --devices %d --threads %d --out %s"
            .formatted(devices, Math.max(1, config.threads() / devices), own);
    if (cluster == null && !measured && !Files.exists(ClusterFile.local())) {
      throw new UserException(
          "nothing is known of what this machine's devices can do: measure them as this run has them with %s, or name one with --cluster"
              .formatted(profile));
    }
    Cluster named =
        ClusterFile.read(cluster != null ? cluster : measured ? own.toString() : ClusterFile.LOCAL);
    if (cluster == null && named.devices() < devices) {
      throw new UserException(
          "%s was measured with %d devices at work, the run has %d: measure as many with %s, or name a larger one with --cluster"
              .formatted(measured ? "'" + own + "'" : "local", named.devices(), devices, profile));
    }
    if (cluster == null && named.devices() > devices) {
      System.err.printf(
          "note: %s was measured with %d devices at work, the run has %d; for figures of this run"
              + " measure with %s%n",
          named.name(), named.devices(), devices, profile);
    }
    return named;
  }

  private static Path write(@Nullable Path asked, RunDirectory run, String name, String text) {
    Path file = asked == null ? run.trace().resolve(name) : asked;
    try {
      Files.writeString(file, text);
      return file;
    } catch (IOException e) {
      throw new UserException("cannot write '" + file + "': " + e, e);
    }
  }

  private static String written(Path page, Path events) {
    return "%nwritten: %s for a browser, %s for https://ui.perfetto.dev%n".formatted(page, events);
  }
}
