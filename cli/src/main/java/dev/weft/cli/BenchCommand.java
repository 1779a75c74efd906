package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.engine.program.CallTime;
import dev.weft.runtime.collective.CollectiveCounters;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.trainer.Session;
import dev.weft.runtime.trainer.TrainConfig;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.LongSummaryStatistics;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft bench}. */
@Command(
    name = "bench",
    mixinStandardHelpOptions = true,
    description = "Measures this machine.",
    subcommands = {
      BenchCommand.StepCommand.class,
      SimulatorBench.class,
      DecodeBench.class,
      AllReduceBench.class
    })
final class BenchCommand implements Runnable {
  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }

  /**
   * A line per kernel and shapes: what it takes of a step or a token, and how often it is called.
   */
  static void print(List<CallTime> calls, String unit, int units) {
    Map<String, LongSummaryStatistics> lines =
        calls.stream()
            .collect(
                Collectors.groupingBy(
                    CallTime::call, Collectors.summarizingLong(CallTime::nanoseconds)));
    double total = calls.stream().mapToLong(CallTime::nanoseconds).sum();
    System.err.printf("%9s %6s %6s  %s%n", "ms/" + unit, "share", "calls", "kernel and shapes");
    lines.entrySet().stream()
        .sorted(Comparator.comparingLong(entry -> -entry.getValue().getSum()))
        .filter(entry -> entry.getValue().getSum() > total / 1000)
        .forEach(
            entry ->
                System.err.printf(
                    "%9.3f %5.1f%% %6d  %s%n",
                    entry.getValue().getSum() * 1e-6 / units,
                    entry.getValue().getSum() * 100 / total,
                    entry.getValue().getCount(),
                    entry.getKey()));
  }

  /** {@code weft bench step}. */
  @Command(
      name = "step",
      mixinStandardHelpOptions = true,
      description = "Times training steps on random data.")
  static final class StepCommand implements Callable<Integer> {
    private static final int WARMUP = 2;
    private static final double RATE = 1e-4;

    @CommandLine.Spec CommandLine.Model.CommandSpec spec;

    @Option(names = "--format", defaultValue = "text", description = "text or json")
    EvalCommand.Format format;

    @Option(
        names = "--worker",
        description = "step on each line 'step' of standard input, for comparisons in turn")
    boolean worker;

    @Option(names = "--profile", description = "prints what each kernel took, by shapes")
    boolean profile;

    @Override
    public Integer call() {
      TrainConfig config = ConfigOptions.read(spec.commandLine());
      if (profile && (config.stages() > 1 || config.resolvedMesh().size() > 1)) {
        throw new UserException(
            "--profile tells of one device: leave it or --stages, --mesh and --devices out");
      }
      try (Session session = Session.open(config)) {
        session.initialize();
        var batches = new RandomBatches(config);
        for (int step = 1; step <= WARMUP; step++) {
          session.step(step, RATE, batches);
        }
        // As a run does after its first step.
        System.gc();
        if (worker) {
          serve(session, batches);
        } else {
          measure(session, config, batches);
        }
      }
      return 0;
    }

    private void measure(Session session, TrainConfig config, RandomBatches batches) {
      // The default of --steps is for training; a dozen tell the cost.
      int steps =
          spec.commandLine().getParseResult().hasMatchedOption("--steps") ? config.steps() : 12;
      if (profile) {
        session.startProfile();
      }
      CollectiveCounters before = session.collectives();
      double[] seconds = new double[steps];
      long faults = Machine.pageFaults();
      for (int i = 0; i < steps; i++) {
        long start = System.nanoTime();
        session.step(WARMUP + 1 + i, RATE, batches);
        seconds[i] = (System.nanoTime() - start) * 1e-9;
      }
      double faultsPerStep = (double) (Machine.pageFaults() - faults) / steps;
      Arrays.sort(seconds);
      double median = seconds[steps / 2];
      double peak = Machine.matmulPeak(config.computeType(), session.threads());
      double flops = session.flopsPerStep() / median;
      ObjectNode result = new ObjectMapper().createObjectNode();
      result.put("seconds_per_step", median);
      result.put("seconds_per_step_min", seconds[0]);
      result.put("flops_per_second", flops);
      result.put("share_of_peak", flops / peak);
      result.put("device_bytes", session.peakMemory().count());
      result.put("predicted_device_bytes", session.predictedPeak().count());
      ArrayNode devices = result.putArray("devices");
      for (Session.MemoryUse use : session.memoryUse()) {
        devices
            .addObject()
            .put("stage", use.stage())
            .put("device", use.device())
            .put("device_bytes", use.peak().count())
            .put("predicted_device_bytes", use.predicted().count());
      }
      result.put("resident_bytes", Machine.resident().count());
      result.put("page_faults_per_step", faultsPerStep);
      if (config.pipelinePlan().mesh().size() > 1) {
        CollectiveCounters spent = session.collectives().minus(before);
        result.put("collective_seconds_per_step", spent.underWayNanos() * 1e-9 / steps);
        result.put("exposed_seconds_per_step", spent.exposedNanos() * 1e-9 / steps);
        result.put("collective_bytes_per_step", spent.bytesSent() / steps);
      }
      if (format == EvalCommand.Format.JSON) {
        System.out.println(result);
      } else {
        result
            .properties()
            .forEach(entry -> System.out.printf("%-24s %s%n", entry.getKey(), entry.getValue()));
      }
      if (profile) {
        print(session.profile(), "step", steps);
      }
    }

    private static void serve(Session session, RandomBatches batches) {
      ObjectMapper json = new ObjectMapper();
      ObjectNode ready = json.createObjectNode();
      ready.put("ready", true);
      ready.putObject("versions").put("java", Runtime.version().toString());
      System.out.println(ready);
      System.out.flush();
      try (BufferedReader lines =
          new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
        int step = WARMUP;
        String line;
        while ((line = lines.readLine()) != null && !line.equals("quit")) {
          if (!line.equals("step")) {
            continue;
          }
          step++;
          long faults = Machine.pageFaults();
          long start = System.nanoTime();
          double loss = session.step(step, RATE, batches).loss();
          double seconds = (System.nanoTime() - start) * 1e-9;
          System.out.println(
              json.createObjectNode()
                  .put("seconds", seconds)
                  .put("loss", loss)
                  .put("resident_bytes", Machine.residentPeak().count())
                  .put("page_faults", Machine.pageFaults() - faults));
          System.out.flush();
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
