package dev.weft.cli;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.Repeat;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Work;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.trainer.CompiledStep;
import dev.weft.runtime.trainer.Session;
import dev.weft.runtime.trainer.TrainConfig;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** {@code weft inspect}. */
@Command(
    name = "inspect",
    mixinStandardHelpOptions = true,
    description = "Shows a model without training it.",
    subcommands = {
      InspectCommand.GraphCommand.class,
      InspectCommand.ParametersCommand.class,
      InspectCommand.CostCommand.class
    })
final class InspectCommand implements Runnable {
  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  @Override
  public void run() {
    spec.commandLine().usage(spec.commandLine().getOut());
  }

  /** The step of a model on one device: traced, nothing is allocated. */
  private static StepGraphs graphs(Session.Spec trained) {
    return StepGraphs.forOneDevice(
        trained.model(),
        trained.data(),
        trained.parameterType(),
        trained.optimizer(),
        trained.clip());
  }

  /** {@code weft inspect graph}. */
  @Command(
      name = "graph",
      mixinStandardHelpOptions = true,
      description =
          "The graph of a micro-batch's training step in its text form, with its shardings.")
  static final class GraphCommand implements Callable<Integer> {
    @CommandLine.Spec CommandLine.Model.CommandSpec spec;

    @Override
    public Integer call() {
      TrainConfig config = ConfigOptions.read(spec.commandLine());
      Session.Spec trained = Session.spec(config);
      StepGraphs graphs =
          StepGraphs.of(
              trained.model(),
              trained.data(),
              trained.parameterType(),
              trained.optimizer(),
              trained.clip());
      System.out.println(GraphText.print(graphs.micro()));
      return 0;
    }
  }

  /** {@code weft inspect parameters}. */
  @Command(
      name = "parameters",
      mixinStandardHelpOptions = true,
      description = "All parameters with their types.")
  static final class ParametersCommand implements Callable<Integer> {
    @CommandLine.Spec CommandLine.Model.CommandSpec spec;

    @Override
    public Integer call() {
      Session.Spec trained = Session.spec(ConfigOptions.read(spec.commandLine()));
      long count = 0;
      for (Parameter parameter : graphs(trained).parameters()) {
        for (String name : parameter.sliceNames()) {
          System.out.printf("%-32s %s%n", name, parameter.sliceType());
        }
        count += parameter.averaged() ? 0 : parameter.type().elements();
      }
      System.out.printf(Locale.ROOT, "%,d parameters%n", count);
      return 0;
    }
  }

  /** {@code weft inspect cost}. */
  @Command(
      name = "cost",
      mixinStandardHelpOptions = true,
      description = "Operations and bytes by op, and the memory that training will take.")
  static final class CostCommand implements Callable<Integer> {
    @CommandLine.Spec CommandLine.Model.CommandSpec spec;

    @Override
    public Integer call() {
      TrainConfig config = ConfigOptions.read(spec.commandLine());
      CompiledStep foretold = CompiledStep.foretold(config, Machine.rememberedRoutes());
      Map<String, Cost> costs = new TreeMap<>();
      add(microBatch(config, foretold), 1, costs);
      System.out.printf("%-36s %12s %12s%n", "op", "GFLOP", "MB");
      Cost total = Cost.NONE;
      for (Map.Entry<String, Cost> entry : costs.entrySet()) {
        print(entry.getKey(), entry.getValue());
        total = total.plus(entry.getValue());
      }
      print("micro-batch", total);
      System.out.printf(Locale.ROOT, "%,d parameters%n", count(foretold));
      printMemory(foretold, config.budget());
      return 0;
    }

    /** Forward and backward of the whole model, as one device computes them. */
    private static Graph microBatch(TrainConfig config, CompiledStep foretold) {
      StageProgram stage = foretold.step().train().stages().getFirst();
      Fragment first = stage.fragments().getFirst();
      return first.work() == Work.MICRO_BATCH && stage.mesh().size() == 1
          ? first.graph()
          : graphs(Session.spec(config)).micro();
    }

    private static void printMemory(CompiledStep foretold, Bytes budget) {
      long[] needed = foretold.needed();
      List<StageProgram> stages = foretold.step().train().stages();
      long devices = stages.stream().mapToLong(stage -> stage.mesh().size()).sum();
      long each = budget.count() / devices;
      for (int stage = 0; stage < needed.length; stage++) {
        String where =
            devices == 1
                ? "one device"
                : needed.length == 1 ? "each device" : "each device of stage " + stage;
        System.out.printf(
            Locale.ROOT,
            "predicted peak memory on %s %s (%d bytes)%s%n",
            where,
            Bytes.of(needed[stage]),
            needed[stage],
            needed[stage] > each ? ", more than the " + Bytes.of(each) + " it has here" : "");
      }
    }

    private static long count(CompiledStep foretold) {
      return foretold.step().parameters().stream()
          .filter(parameter -> !parameter.averaged())
          .mapToLong(parameter -> parameter.type().elements())
          .sum();
    }

    private static void print(String name, Cost cost) {
      System.out.printf(
          Locale.ROOT, "%-36s %12.4f %12.2f%n", name, cost.flops() / 1e9, cost.bytes() / 1e6);
    }

    private static void add(Graph graph, int times, Map<String, Cost> costs) {
      for (Node node : graph.nodes()) {
        if (node.op() instanceof Repeat repeat) {
          add(repeat.body(), times * repeat.count(), costs);
        } else {
          costs.merge(node.op().name(), node.cost().times(times), Cost::plus);
        }
      }
    }
  }
}
