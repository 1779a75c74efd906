package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Pace;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.op.Repeat;
import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.OpCosts;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.engine.program.CallTime;
import dev.weft.runtime.cluster.ClusterProfiler;
import dev.weft.runtime.cluster.ClusterProfiler.Measured;
import dev.weft.runtime.trace.Comparison;
import dev.weft.runtime.trace.RunTrace;
import dev.weft.runtime.trace.StepTrace;
import dev.weft.runtime.trainer.Session;
import dev.weft.runtime.trainer.TrainConfig;
import dev.weft.runtime.worker.RunRecord;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft bench simulator}. */
@Command(
    name = "simulator",
    mixinStandardHelpOptions = true,
    description =
        "Times training steps on random data beside the simulator's word for them: each step"
            + " between two profiles of this machine, so that what the machine's speed does"
            + " meanwhile falls on both.")
final class SimulatorBench implements Callable<Integer> {
  private static final int WARMUP = 2;
  private static final int ROUNDS = 12;
  private static final double RATE = 1e-4;

  /** Moments of a profile from which on its pace is followed. */
  private static final int BEGINNINGS = 8;

  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  @Option(names = "--format", defaultValue = "text", description = "text or json")
  EvalCommand.Format format;

  /** A cluster, from one of the moments on in which it was measured. */
  private record Beginning(Cluster cluster, Pace pace) {
    static Stream<Beginning> of(Measured measured) {
      return IntStream.range(0, BEGINNINGS)
          .mapToObj(
              i ->
                  new Beginning(
                      measured.cluster(),
                      measured.pace().from(i * measured.pace().moments() / BEGINNINGS)));
    }
  }

  /** A step and the profiles before and after it. */
  private record Found(List<RunRecord> records, List<CallTime> calls, List<Measured> measured) {}

  /** Seconds by what took them; the first is the whole step. */
  private record Round(SequencedMap<String, Double> real, SequencedMap<String, Double> simulated) {}

  @Override
  public Integer call() {
    TrainConfig config = ConfigOptions.read(spec.commandLine());
    int rounds =
        spec.commandLine().getParseResult().hasMatchedOption("--steps") ? config.steps() : ROUNDS;
    if (rounds < 1) {
      throw new UserException("--steps must be at least 1, found " + rounds);
    }
    var found = new ArrayList<Found>();
    try (Session session = Session.open(config)) {
      session.initialize();
      var batches = new RandomBatches(config);
      for (int step = 1; step <= WARMUP; step++) {
        session.step(step, RATE, batches);
      }
      System.gc();
      Measured before = measure(session, config.computeType());
      for (int round = 1; round <= rounds; round++) {
        session.startProfile();
        session.step(WARMUP + round, RATE, batches);
        List<CallTime> calls = session.profile();
        Measured after = measure(session, config.computeType());
        found.add(new Found(session.lastStep(), calls, List.of(before, after)));
        before = after;
        System.err.printf("round %d of %d%n", round, rounds);
      }
    }
    // Simulating between steps would leave work for the compiler and the collector of Java, which
    // takes a core from the step that follows.
    report(found.stream().map(SimulatorBench::round).toList());
    return 0;
  }

  /** What the devices can do right now, as many at work as the step has. */
  private static Measured measure(Session session, DataType dtype) {
    int devices = session.memoryUse().size();
    return ClusterProfiler.measure(
        devices, Math.max(1, session.threads() / devices), List.of(dtype), _ -> {});
  }

  /**
   * A step, and the means of what it takes on the clusters, begun at several moments of their pace.
   */
  private static Round round(Found found) {
    List<RunRecord> records = found.records();
    List<Measured> measured = found.measured();
    var real = new LinkedHashMap<String, Double>();
    var simulated = new LinkedHashMap<String, Double>();
    real.put("step", 0.0);
    simulated.put("step", 0.0);
    List<Beginning> beginnings = measured.stream().flatMap(Beginning::of).toList();
    int draws = beginnings.size();
    for (RunRecord record : records) {
      Program program = record.program();
      var trace = new RunTrace(program, List.of(new StepTrace(1, List.of(record.timeline(0)))));
      for (Beginning beginning : beginnings) {
        Simulation simulation =
            Simulator.simulate(program, costs(beginning.cluster(), program), beginning.pace());
        Comparison comparison = Comparison.of(trace, simulation);
        add("step", comparison.makespan(), draws, real, simulated);
        add(program.name(), comparison.makespan(), draws, real, simulated);
        for (Comparison.StageFigures stage : comparison.stages()) {
          String name = program.name() + ", stage " + stage.stage();
          add(name + " computes", stage.busy(), draws, real, simulated);
          if (stage.waiting().real() > 0 || stage.waiting().simulated() > 0) {
            add(name + " collectives", stage.waiting(), draws, real, simulated);
          }
        }
        for (Comparison.Part part : comparison.parts()) {
          String name =
              "%s, stage %d, %s%s"
                  .formatted(
                      program.name(),
                      part.stage(),
                      part.queue() == Queue.COMPUTE ? "" : "receive ",
                      part.name());
          add(name, part.time(), draws, real, simulated);
        }
      }
    }
    for (CallTime call : found.calls()) {
      String op = call.origin().split(" ")[0];
      if (!op.startsWith("all_")) {
        real.merge(ops(OpCosts.kind(op)), call.nanoseconds() * 1e-9, Double::sum);
      }
    }
    for (RunRecord record : records) {
      for (StageProgram stage : record.program().stages()) {
        for (Step step : stage.steps()) {
          if (step instanceof Step.Run run) {
            Graph graph = stage.fragments().get(run.fragment()).graph();
            for (Measured each : measured) {
              Map<Node, Double> seconds = OpCosts.seconds(graph, each.cluster().device());
              addKinds(graph, seconds, 1.0 / measured.size(), simulated);
            }
          }
        }
      }
    }
    return new Round(real, simulated);
  }

  private static String ops(String kind) {
    return "ops, " + kind;
  }

  private static ClusterCosts costs(Cluster cluster, Program program) {
    return ClusterCosts.of(
        cluster, program.stages().size(), program.stages().getFirst().mesh().size());
  }

  private static void addKinds(
      Graph graph, Map<Node, Double> seconds, double times, Map<String, Double> simulated) {
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        addKinds(repeat.body(), seconds, times * repeat.count(), simulated);
      } else if (!(node.op() instanceof Collective)) {
        double each = seconds.getOrDefault(node, 0.0);
        simulated.merge(ops(OpCosts.kind(node)), each * times, Double::sum);
      }
    }
  }

  private static void add(
      String name,
      Comparison.Figure figure,
      int draws,
      Map<String, Double> real,
      Map<String, Double> simulated) {
    real.merge(name, figure.real() / draws, Double::sum);
    simulated.merge(name, figure.simulated() / draws, Double::sum);
  }

  private void report(List<Round> rounds) {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("rounds", rounds.size());
    ArrayNode lines = tree.putArray("times");
    if (format == EvalCommand.Format.TEXT) {
      System.out.printf(
          "%-44s %11s %13s %7s %7s %7s%n",
          "medians", "real ms", "simulated ms", "ratio", "least", "most");
    }
    for (String name : rounds.getFirst().real().keySet()) {
      double[] real = sorted(rounds.stream().mapToDouble(r -> get(r.real(), name)).toArray());
      double[] simulated =
          sorted(rounds.stream().mapToDouble(r -> get(r.simulated(), name)).toArray());
      double[] ratios =
          sorted(
              rounds.stream()
                  .mapToDouble(r -> get(r.real(), name) / get(r.simulated(), name))
                  .toArray());
      if (format == EvalCommand.Format.JSON) {
        ObjectNode line = lines.addObject().put("name", name);
        line.put("real_ms", 1e3 * median(real)).put("simulated_ms", 1e3 * median(simulated));
        if (Double.isFinite(median(ratios))) {
          line.put("ratio", median(ratios));
        } else {
          line.putNull("ratio");
        }
        if (Double.isFinite(ratios[0]) && Double.isFinite(ratios[ratios.length - 1])) {
          line.put("least", ratios[0]).put("most", ratios[ratios.length - 1]);
        } else {
          line.putNull("least").putNull("most");
        }
      } else {
        System.out.printf(
            Locale.ROOT,
            "%-44s %11.3f %13.3f %7.2f %7.2f %7.2f%n",
            name,
            1e3 * median(real),
            1e3 * median(simulated),
            median(ratios),
            ratios[0],
            ratios[ratios.length - 1]);
      }
    }
    if (format == EvalCommand.Format.JSON) {
      System.out.println(tree);
    }
  }

  private static double get(Map<String, Double> times, String name) {
    return times.getOrDefault(name, 0.0);
  }

  private static double[] sorted(double[] numbers) {
    Arrays.sort(numbers);
    return numbers;
  }

  private static double median(double[] sorted) {
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
