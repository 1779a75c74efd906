package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Tensor;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Timeline;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

final class ClusterCostsTest {
  private static final TensorType HUNDRED = TensorType.of(DataType.F32, 100);
  private static final double CALL = 0.5;

  private static ClusterCosts costs(int hosts, int devicesPerHost, int stageDevices) {
    var device = new DeviceProfile(new Bytes(1 << 30), Map.of("f32", 1.0), 200, CALL, Map.of());
    return new ClusterCosts(
        new Cluster(
            "c", hosts, devicesPerHost, device, new Link(0, 1000), new Link(0.25, 100), false),
        stageDevices);
  }

  private static double seconds(Graph graph) {
    StageProgram stage =
        new StageProgram(0, Mesh.SINGLE, List.of(), List.of(), List.of(), List.of());
    var fragment = new Fragment("clear", Work.STEP, 0, graph, List.of(), List.of());
    return costs(1, 1, 1).fragment(stage, fragment).time();
  }

  @Test
  void whatIsFilledIsWritten() {
    var clear = new Builder("clear");
    Value sum = clear.input("sum", HUNDRED, Graph.Kind.ACCUMULATOR);
    Value other = clear.input("other", HUNDRED, Graph.Kind.ACCUMULATOR);
    clear.output(new Tensor(clear, sum).filled(0).value(), sum);
    clear.output(new Tensor(clear, other).filled(0).value(), other);
    assertEquals(2 * (CALL + 400 / 200.0), seconds(clear.build()));
  }

  @Test
  void whatIsReturnedAsItCameIsCopiedUnlessItStaysInItsMemory() {
    var graph = new Builder("g");
    Value value = graph.input("x", HUNDRED, Graph.Kind.DATA);
    Value state = graph.input("s", HUNDRED, Graph.Kind.STATE);
    graph.output(new Tensor(graph, value).reshape(10, 10).value());
    graph.output(state, state);
    assertEquals(CALL + 800 / 200.0, seconds(graph.build()));
  }

  @Test
  void devicesOfAHostShareItsWayOut() {
    // Stages of four devices, two on each host.
    ClusterCosts fours = costs(2, 8, 4);
    assertEquals(new Link(0, 1000), fours.link(0, 1));
    assertEquals(List.of(), fours.shared(0, 1));
    assertEquals(new Link(0.25, 25), fours.link(1, 2));
    assertEquals(List.of(0, 3), fours.shared(1, 2));
    assertEquals(List.of(1, 2), fours.shared(2, 1));
    // Stages of six on hosts of four: devices 2 to 5 of a stage go to another host, or the next.
    ClusterCosts sixes = costs(3, 4, 6);
    assertEquals(new Link(0.25, 25), sixes.link(0, 1));
    assertEquals(List.of(0, 2, 3, 5), sixes.shared(0, 1));
  }

  /** A stage per device; each sends so many values to others, ready after one call each. */
  private static Program program(int stages, List<List<Integer>> targets) {
    var steps = new ArrayList<List<Step>>();
    var buffers = new ArrayList<List<Buffer>>();
    for (int stage = 0; stage < stages; stage++) {
      steps.add(new ArrayList<>());
      buffers.add(new ArrayList<>());
    }
    for (int stage = 0; stage < stages; stage++) {
      for (int i = 0; i < targets.get(stage).size(); i++) {
        int to = targets.get(stage).get(i);
        var buffer =
            new Buffer(
                "h." + stage + "." + i, HUNDRED, Layout.whole(1), HUNDRED, Graph.Kind.STATE, 0);
        buffers.get(stage).add(buffer);
        buffers.get(to).add(buffer);
        int last = steps.get(stage).size();
        steps.get(stage).add(new Step.Run(0, 0, List.of(0), List.of()));
        steps.get(stage).add(new Step.Send(buffers.get(stage).size() - 1, 0, to, 0, List.of(last)));
        steps.get(to).add(new Step.Receive(buffers.get(to).size() - 1, 0, stage, 0, List.of()));
      }
    }
    var all = new ArrayList<StageProgram>();
    for (int stage = 0; stage < stages; stage++) {
      var graph = new Builder("g");
      graph.output(new Tensor(graph, graph.input("x", HUNDRED, Graph.Kind.DATA)).exp().value());
      all.add(
          new StageProgram(
              stage,
              Mesh.SINGLE,
              List.of(new Pool("flow", 1, false)),
              buffers.get(stage),
              List.of(
                  new Fragment("forward", Work.FORWARD, 0, graph.build(), List.of(), List.of())),
              steps.get(stage)));
    }
    return new Program("train", 1, all);
  }

  private static List<Timeline.Event> sends(Simulation found) {
    return found.timeline("t").events().stream().filter(e -> e.queue() == Queue.SEND).toList();
  }

  /** Stages 0 and 1 are on one host, 2 and 3 on the other: their skips meet on the way. */
  @Test
  void stagesOfAHostTakeTurns() {
    ClusterCosts costs = costs(2, 2, 1);
    Simulation found =
        Simulator.simulate(
            program(4, List.of(List.of(2), List.of(3), List.of(), List.of())), costs);
    double made = CALL + 800 / 200.0;
    assertEquals(made + 8 + 0.25, found.makespan(), 1e-9);
    // There and back are two ways; what stays on a host keeps nobody.
    Simulation both =
        Simulator.simulate(
            program(4, List.of(List.of(2), List.of(0), List.of(0), List.of())), costs);
    assertEquals(made + 4 + 0.25, both.makespan(), 1e-9);
  }

  /** However many send: no way is used by two at once. */
  @Property(tries = 60)
  void aWayServesOneTransferAtATime(
      @ForAll @IntRange(min = 1, max = 4) int hosts,
      @ForAll @IntRange(min = 1, max = 3) int devicesPerHost,
      @ForAll long seed) {
    var random = new Random(seed);
    int stages = hosts * devicesPerHost;
    var targets = new ArrayList<List<Integer>>();
    for (int stage = 0; stage < stages; stage++) {
      var own = new ArrayList<Integer>();
      for (int i = random.nextInt(4); i > 0 && stages > 1; i--) {
        own.add((stage + 1 + random.nextInt(stages - 1)) % stages);
      }
      targets.add(own);
    }
    List<Timeline.Event> sends =
        sends(Simulator.simulate(program(stages, targets), costs(hosts, devicesPerHost, 1)));
    for (Timeline.Event a : sends) {
      int to = Integer.parseInt(a.name().substring(a.name().lastIndexOf(' ') + 1));
      boolean crosses = a.stage() / devicesPerHost != to / devicesPerHost;
      assertEquals(crosses ? 4 : 0.4, a.end() - a.start(), 1e-9);
      for (Timeline.Event b : sends) {
        int other = Integer.parseInt(b.name().substring(b.name().lastIndexOf(' ') + 1));
        boolean meet =
            a.stage() / devicesPerHost == b.stage() / devicesPerHost
                || to / devicesPerHost == other / devicesPerHost;
        boolean both = crosses && b.stage() / devicesPerHost != other / devicesPerHost;
        if (!a.equals(b) && meet && both) {
          assertTrue(a.end() <= b.start() + 1e-9 || b.end() <= a.start() + 1e-9, a + " and " + b);
        }
      }
    }
  }
}
