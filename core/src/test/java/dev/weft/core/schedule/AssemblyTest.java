package dev.weft.core.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.program.Action;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Order;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What a program made of hand-made pieces and orders looks like. */
class AssemblyTest {
  private static Program train(HandMade pieces, Order order) {
    return Assembly.of(pieces.graphs(), order, HandMade.DATA).program("train");
  }

  private static int slots(StageProgram stage, String buffer) {
    return stage.buffers().stream()
        .filter(b -> b.name().equals(buffer))
        .mapToInt(b -> stage.pools().get(b.pool()).slots())
        .findFirst()
        .orElseThrow();
  }

  @Test
  void residualsHaveAsManySlotsAsMicroBatchesAreLive() {
    for (int stages : List.of(1, 2, 4)) {
      for (int microBatches : List.of(1, 3, 8)) {
        Program flow =
            train(
                HandMade.chain(stages), Orders.oneForwardOneBackward(stages, microBatches, false));
        Program gpipe = train(HandMade.chain(stages), Orders.gpipe(stages, microBatches));
        for (int stage = 0; stage < stages; stage++) {
          assertEquals(
              Math.min(microBatches, stages - stage), slots(flow.stages().get(stage), "r" + stage));
          assertEquals(microBatches, slots(gpipe.stages().get(stage), "r" + stage));
        }
      }
    }
  }

  @Test
  void whatIsRecomputedHasOneSlotWhateverIsLive() {
    Program program =
        train(HandMade.chain(4).recomputing(), Orders.oneForwardOneBackward(4, 8, true));
    for (int stage = 0; stage < 4; stage++) {
      assertEquals(1, slots(program.stages().get(stage), "r" + stage));
    }
    // The input is received while the one before is still being worked on.
    assertEquals(4, slots(program.stages().get(1), "h0"));
    assertEquals(2, slots(program.stages().get(3), "h2"));
  }

  @Test
  void receivesAwaitNothingButThatTheirSlotIsFree() {
    Program program = train(HandMade.chain(4), Orders.oneForwardOneBackward(4, 8, false));
    StageProgram stage = program.stages().get(2);
    List<Step> steps = stage.steps();
    var seen = new HashSet<List<Integer>>();
    int waiting = 0;
    for (Step step : steps) {
      if (step instanceof Step.Receive receive) {
        boolean fresh = seen.add(List.of(receive.buffer(), receive.slot()));
        assertTrue(!fresh || receive.awaits().isEmpty());
        for (int awaited : receive.awaits()) {
          Step.Run reader = (Step.Run) steps.get(awaited);
          Fragment fragment = stage.fragments().get(reader.fragment());
          assertTrue(fragment.inputs().contains(receive.buffer()));
          assertTrue(reader.microBatch() < receive.microBatch());
          waiting++;
        }
      }
    }
    assertTrue(waiting > 0);
  }

  @Test
  void aSkippedValueGoesStraightFromWhereItIsMade() {
    var pieces = new HandMade(4, Set.of(), Set.of(2, 3), false, false, false);
    Program program = train(pieces, Orders.oneForwardOneBackward(4, 4, false));
    List<StageProgram> stages = program.stages();
    for (int stage = 1; stage < 4; stage++) {
      StageProgram own = stages.get(stage);
      long from =
          own.steps().stream()
              .filter(s -> s instanceof Step.Receive r && r.stage() == 0)
              .filter(s -> own.buffers().get(((Step.Receive) s).buffer()).name().equals("h0"))
              .count();
      assertEquals(4, from);
    }
    assertEquals(
        12,
        stages.get(0).steps().stream().filter(s -> s.queue() == Queue.RECEIVE).count(),
        "a cotangent from each of the three that take it");
  }

  @Test
  void piecesOfOneStageShareValuesAndSendNothing() {
    var order = new ArrayList<Action>();
    for (int m = 0; m < 2; m++) {
      order.add(new Action(Work.FORWARD, m, 0));
      order.add(new Action(Work.FORWARD, m, 1));
      order.add(new Action(Work.BACKWARD, m, 1));
      order.add(new Action(Work.BACKWARD, m, 0));
    }
    Program program = train(HandMade.chain(2).withFirsts(), new Order("own", 2, 2, List.of(order)));
    StageProgram stage = program.stages().getFirst();
    assertTrue(
        stage.steps().stream()
            .allMatch(s -> s.queue() == Queue.COMPUTE || s.queue() == Queue.FROM_HOST));
    assertEquals(1, stage.buffers().stream().filter(b -> b.name().equals("h0")).count());
  }

  @Test
  void accumulatorsAreWrittenFirstOrClearedOnce() {
    Order order = Orders.gpipe(2, 3);
    StageProgram cleared = train(HandMade.chain(2), order).stages().getFirst();
    Step.Run clear = (Step.Run) cleared.steps().getFirst();
    assertEquals("clear", cleared.fragments().get(clear.fragment()).name());
    assertEquals(Step.ONCE, clear.microBatch());
    StageProgram written = train(HandMade.chain(2).withFirsts(), order).stages().getFirst();
    assertEquals(
        List.of("backward.first", "backward", "backward"),
        written.steps().stream()
            .filter(Step.Run.class::isInstance)
            .map(s -> written.fragments().get(((Step.Run) s).fragment()))
            .filter(f -> f.work() == Work.BACKWARD)
            .map(Fragment::name)
            .toList());
    assertTrue(written.fragments().stream().noneMatch(f -> f.name().equals("clear")));
  }

  @Test
  void sizesOfBuffersAndFragmentsDoNotGrowWithMicroBatches() {
    StageProgram few = stage(8);
    StageProgram many = stage(64);
    assertEquals(few.buffers().size(), many.buffers().size());
    assertEquals(few.fragments().size(), many.fragments().size());
    assertEquals(
        few.pools().stream().map(Pool::slots).toList(),
        many.pools().stream().map(Pool::slots).toList());
    assertEquals(few.bytes(), many.bytes());
  }

  private static StageProgram stage(int microBatches) {
    return train(
            HandMade.chain(3).recomputing(), Orders.oneForwardOneBackward(3, microBatches, false))
        .stages()
        .get(1);
  }

  @Test
  void anOrderThatCannotRunSaysWhereItStops() {
    var stages = new ArrayList<>(Orders.gpipe(2, 2).stages());
    stages.set(1, stages.get(1).reversed());
    var failure =
        assertThrows(
            IllegalStateException.class,
            () -> train(HandMade.chain(2), new Order("backwards", 1, 2, stages)));
    assertEquals("backwards cannot go on: stage 0 waits forever at B1", failure.getMessage());
    stages.set(1, stages.get(1).subList(1, stages.get(1).size()));
    assertThrows(
        IllegalStateException.class,
        () -> train(HandMade.chain(2), new Order("short", 1, 2, stages)));
  }
}
