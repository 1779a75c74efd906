package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Pace;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Timeline;
import dev.weft.core.program.Work;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Hand-made programs: one stage makes 100 numbers per micro-batch, the other takes them. */
final class SimulatorTest {
  private static final Mesh PAIR = Mesh.parse("data=2");

  private static final List<CostModel.Span> SUMS =
      List.of(new CostModel.Span("all_reduce making %y", 1, 1.5));

  /** Making takes 1, taking takes 2, of which 0.5 are collectives; 400 bytes take 4. */
  private static final CostModel COSTS =
      new CostModel() {
        @Override
        public Duration fragment(StageProgram stage, Fragment fragment) {
          return stage.stage() == 0 ? new Duration(1) : new Duration(2, SUMS, SUMS);
        }

        @Override
        public Link link(int from, int to) {
          return new Link(0.25, 100);
        }
      };

  private static StageProgram stage(int number, int slots, List<Step> steps) {
    TensorType type = TensorType.of(DataType.F32, 100);
    var graph = new Builder("g");
    boolean makes = number == 0;
    graph.output(graph.input("h", type, Graph.Kind.DATA));
    return new StageProgram(
        number,
        PAIR,
        List.of(new Pool("kept", 1, true), new Pool("flow", slots, false)),
        List.of(
            new Buffer("w", type, Layout.whole(1), type, Graph.Kind.PARAMETER, 0),
            new Buffer("h", type, Layout.whole(1), type, Graph.Kind.STATE, 1)),
        List.of(
            new Fragment(
                "forward",
                Work.FORWARD,
                0,
                graph.build(),
                makes ? List.of() : List.of(1),
                makes ? List.of(1) : List.of())),
        steps);
  }

  private static Step.Run run(int microBatch, int slot, Integer... awaits) {
    return new Step.Run(0, microBatch, List.of(0, slot), List.of(awaits));
  }

  /** Two micro-batches; the taker has one slot or two. */
  private static Program program(int slots) {
    StageProgram maker =
        stage(
            0,
            2,
            List.of(
                run(0, 0),
                new Step.Send(1, 0, 1, 0, List.of(0)),
                run(1, 1),
                new Step.Send(1, 1, 1, 1, List.of(2))));
    StageProgram taker =
        stage(
            1,
            slots,
            List.of(
                new Step.Receive(1, 0, 0, 0, List.of()),
                run(0, 0, 0),
                new Step.Receive(1, slots - 1, 0, 1, slots == 1 ? List.of(1) : List.of()),
                run(1, slots - 1, 2)));
    return new Program("train", 2, List.of(maker, taker));
  }

  /** Stages are of two devices each. */
  @Test
  void aStageGoesAsFastAsItsSlowestDevice() {
    Pace halved = new Pace(3, new double[][] {{0.5}});
    // Made at 2 and 4; sent 2 to 6 and 6 to 10; there at 6.25 and 10.25.
    assertEquals(14.25, Simulator.simulate(program(2), COSTS, halved).makespan());
    Pace last = new Pace(3, new double[][] {{1}, {1}, {1}, {0.5}});
    assertEquals(13.25, Simulator.simulate(program(2), COSTS, last).makespan());
    assertEquals(8, Simulator.simulate(program(2), COSTS, last).stages().get(1).busy());
  }

  @Test
  void transfersTakeTurnsOnALinkAndLatencyKeepsNobody() {
    Simulation found = Simulator.simulate(program(2), COSTS);
    // Made at 1 and 2; sent 1 to 5 and 5 to 9; there at 5.25 and 9.25.
    assertEquals(11.25, found.makespan());
    assertEquals(1 - (2 * 2 + 2 * 4) / (4 * 11.25), found.bubble(), 1e-12);
    assertEquals(List.of(new Simulation.LinkUse(0, 1, 1600)), found.links());
    Simulation.StageUse taker = found.stages().get(1);
    assertEquals(2, taker.devices());
    assertEquals(4, taker.busy());
    // 1 to 5.25, 7.25 to 9.25, and two collectives.
    assertEquals(4.25 + 2 + 1, taker.exposed());
    assertEquals(0, found.stages().getFirst().exposed());
  }

  @Test
  void aTransferWaitsForTheReceiversSlot() {
    Simulation found = Simulator.simulate(program(1), COSTS);
    // The slot is free at 7.25: there at 11.5.
    assertEquals(13.5, found.makespan());
    List<Timeline.Event> sends =
        found.timeline("t").events().stream().filter(e -> e.queue() == Queue.SEND).toList();
    assertEquals(
        List.of(
            new Timeline.Event(0, 0, Queue.SEND, "h #0 to 1", 1, 5),
            new Timeline.Event(0, 0, Queue.SEND, "h #1 to 1", 7.25, 11.25)),
        sends);
  }

  @Test
  void memoryIsWhatIsKeptAndTheSlotsInUse() {
    Simulation found = Simulator.simulate(program(2), COSTS);
    assertEquals(
        List.of(
            new Timeline.Level(0, 0, 0, 400),
            new Timeline.Level(0, 0, 0, 800),
            new Timeline.Level(0, 0, 1, 1200),
            new Timeline.Level(0, 0, 5, 800),
            new Timeline.Level(0, 0, 9, 400)),
        found.memory(0));
  }

  @Test
  void whatWaitsForeverIsNamed() {
    StageProgram maker = stage(0, 1, List.of(run(0, 0), new Step.Send(1, 0, 1, 0, List.of(0))));
    StageProgram taker =
        stage(1, 1, List.of(run(0, 0, 1), new Step.Receive(1, 0, 0, 0, List.of(0))));
    String message =
        assertThrows(
                IllegalStateException.class,
                () -> Simulator.simulate(new Program("train", 1, List.of(maker, taker)), COSTS))
            .getMessage();
    assertTrue(message.contains("waits forever: stage 0 at step 1 (send)"), message);
    assertTrue(message.contains("stage 1 at step 0 (compute)"), message);
  }

  @Test
  void aSendThatNobodyReceivesIsNamed() {
    StageProgram maker = stage(0, 1, List.of(run(0, 0), new Step.Send(1, 0, 1, 0, List.of(0))));
    StageProgram idle = stage(1, 1, List.of());
    assertTrue(
        assertThrows(
                IllegalStateException.class,
                () -> Simulator.simulate(new Program("train", 1, List.of(maker, idle)), COSTS))
            .getMessage()
            .contains("stage 0, step 1 (Send["));
  }

  @Test
  void unitCostsThatAreNotSaidFollow() {
    assertEquals(
        Map.of(
            Work.FORWARD, 3.0,
            Work.RECOMPUTE, 3.0,
            Work.BACKWARD, 6.0,
            Work.INPUT_GRADIENT, 3.0,
            Work.WEIGHT_GRADIENT, 3.0),
        UnitCosts.parse("F=3"));
    assertEquals(2.5, UnitCosts.parse("I=1,W=1.5").get(Work.BACKWARD));
    assertEquals(4, UnitCosts.parse("B=5,I=1").get(Work.WEIGHT_GRADIENT));
  }

  @ParameterizedTest
  @CsvSource({"'F=1,X=2'", "'F'", "'F=-1'", "'F=one'", "'F=NaN'", "'F=Infinity'", "'F=1,F=2'"})
  void costsThatAreNoneAreRefused(String text) {
    String message = assertThrows(UserException.class, () -> UnitCosts.parse(text)).getMessage();
    assertTrue(message.contains("'" + text + "'"), message);
  }
}
