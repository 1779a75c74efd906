package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Postponing;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.op.Repeat;
import dev.weft.core.overlap.Level;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.statistics.Statistics;
import org.junit.jupiter.api.Test;

/** Stages and recomputation with rows in halves; dropout is on. */
class HalvesOnStagesTest {
  /** The meshes on which something with rows is sent, by model. */
  private static final Map<String, List<String>> MESHES =
      Map.of(
          "gpt", List.of("model=2", "sequence=2", "data=2,model=2"),
          "moe", List.of("model=2", "data=2,model=2", "expert=2"),
          "unet", List.of("space=2"),
          "resnet", List.of("space=2"),
          "mlp", List.of("model=2", "data=2,model=2"));

  @Property(tries = 10)
  void equalsOneDevice(@ForAll long seed) {
    check(seed);
  }

  @Property(tries = 300)
  @Tag("nightly")
  void equalsOneDeviceMoreOften(@ForAll long seed) {
    check(seed);
  }

  private static void check(long seed) {
    var random = new Random(seed);
    String model = pick(random, List.of("gpt", "gpt", "gpt", "moe", "unet", "resnet", "mlp"));
    String mesh = pick(random, Objects.requireNonNull(MESHES.get(model)));
    Schedule schedule = Schedules.named(pick(random, Schedules.names()));
    int stages = 1 + random.nextInt(3);
    int microBatches = 1 + random.nextInt(4);
    boolean data = mesh.contains("data");
    PipelinePlan plan =
        ComparedStep.plan(
                stages,
                mesh,
                data ? random.nextInt(4) : 0,
                microBatches,
                schedule.name(),
                pick(random, List.of("none", "full", "full inline", "0.5")))
            .withHalves(SubPipelining.at(Level.values()[1 + random.nextInt(3)]));
    if (schedule.obstacle(plan.setting()).isPresent()) {
      Statistics.collect("no such order");
      return;
    }
    int rows = data || model.equals("moe") ? 4 : 2 + random.nextInt(2);
    try {
      PipelineStep step = ComparedStep.check(model, rows, plan);
      Statistics.collect(
          step.remarks().stream().anyMatch(r -> r.contains("changes nothing"))
              ? "some whole"
              : "in halves");
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError(model + ", " + rows + " rows, " + plan + ": " + e.getMessage(), e);
    }
  }

  private static <T> T pick(Random random, List<T> all) {
    return all.get(random.nextInt(all.size()));
  }

  private static PipelineStep gpt(int rows, String schedule, String recompute, Level level) {
    var config = new ModelConfig(4, 256, 4, 64, 128, 0.1);
    return PipelineStep.of(
        StepGraphs.tokens(new Gpt(), config),
        StepGraphs.tokens(config, rows),
        DataType.F32,
        ComparedStep.SGD,
        1,
        ComparedStep.plan(2, "model=2", 0, 4, schedule, recompute)
            .withHalves(SubPipelining.at(level)));
  }

  /** Between the begin of a half's sum of activations and its first reader the other computes. */
  @Test
  void halvesComputeBesideWhatIsSent() {
    for (String[] way : new String[][] {{"1f1b", "full"}, {"zero-bubble", "none"}}) {
      for (Level level : Level.values()) {
        PipelineStep step = gpt(2, way[0], way[1], level);
        int[] counts = new int[2];
        for (StageProgram stage : step.train().stages()) {
          stage.fragments().forEach(f -> count(f.graph(), 64 * 256, counts));
        }
        double share = counts[0] == 0 ? 0 : (double) counts[1] / counts[0];
        String what = level + " of " + Arrays.toString(way) + ": " + share;
        assertEquals(level == Level.OFF, counts[0] == 0, what);
        assertTrue(level == Level.OFF || share >= 0.49, what);
      }
    }
  }

  /** Counts sums of halves of activations, and those of them that something runs beside. */
  private static void count(Graph graph, long elements, int[] counts) {
    for (int i = 0; i < graph.nodes().size(); i++) {
      Node node = graph.nodes().get(i);
      if (node.op() instanceof Repeat repeat) {
        count(repeat.body(), elements, counts);
      } else if (node.op() instanceof Collective collective
          && collective.kind() == Collective.Kind.ALL_REDUCE
          && node.input(0).type().elements() == elements) {
        counts[0]++;
        counts[1] += runsBeside(graph, i) ? 1 : 0;
      }
    }
  }

  private static boolean runsBeside(Graph graph, int index) {
    Node sent = graph.nodes().get(index);
    for (Node node : graph.nodes().subList(index + 1, graph.nodes().size())) {
      if (node.inputs().contains(sent.output(0))) {
        return false;
      }
      if (Postponing.isWork(
          node.op(), node.inputTypes(), node.outputs().stream().map(v -> v.type()).toList())) {
        return true;
      }
    }
    return false;
  }

  /** Where links work beside devices, a step on stages is faster by level. */
  @Test
  void everyLevelExposesLess() {
    var device = new DeviceProfile(Bytes.of(1L << 34), Map.of("f32", 4e12), 1e12, 1e-6, Map.of());
    var link = new Link(1e-6, 1e10);
    var costs = new ClusterCosts(new Cluster("two of two", 1, 4, device, link, link, true), 2);
    for (String recompute : List.of("full", "0.5")) {
      double[] exposed = new double[4];
      double[] time = new double[4];
      for (Level level : Level.values()) {
        PipelineStep step = gpt(8, "1f1b", recompute, level);
        for (StageProgram stage : step.train().stages()) {
          for (Fragment fragment : stage.fragments()) {
            exposed[level.ordinal()] += costs.fragment(stage, fragment).communication();
          }
        }
        Simulation simulation = Simulator.simulate(step.train(), costs);
        time[level.ordinal()] = simulation.makespan();
      }
      String found = recompute + Arrays.toString(exposed) + Arrays.toString(time);
      for (int level = 1; level <= 3; level++) {
        assertTrue(exposed[level] < 0.95 * exposed[level - 1], found);
      }
      assertTrue(time[3] < 0.97 * time[0], found);
    }
  }

  @Test
  void oneRowIsRefused() {
    String message =
        assertThrows(UserException.class, () -> gpt(1, "1f1b", "full", Level.BLOCK)).getMessage();
    assertTrue(message.contains("sub-pipeline 2") && message.contains("micro-batches"), message);
  }

  /** Only what makes sums of activations is cut, and a piece that sends nothing says so. */
  @Test
  void whatStaysWholeIsSaid() {
    PipelinePlan plan =
        ComparedStep.plan(2, "data=2", 0, 2, "1f1b", "full")
            .withHalves(SubPipelining.at(Level.STACK));
    PipelineStep step = ComparedStep.check("gpt", 4, plan);
    assertEquals(Level.STACK, step.halves());
    assertTrue(step.remarks().stream().anyMatch(r -> r.contains("changes nothing")));
    assertTrue(
        step.train().stages().stream()
            .flatMap(stage -> stage.fragments().stream())
            .filter(fragment -> fragment.work() == Work.FORWARD)
            .allMatch(fragment -> !fragment.graph().nodes().isEmpty()));
  }
}
