package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.program.Program;
import dev.weft.core.program.ProgramText;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Timeline;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.runtime.cluster.ClusterFile;
import dev.weft.runtime.trace.Comparison;
import dev.weft.runtime.trace.StepTrace;
import dev.weft.runtime.worker.RunRecord;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Devices do what the simulator says they do, one after another. */
final class ExecutedOrderTest {
  private static TrainConfig config(String changes) {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("steps", 2).put("threads", 2).put("batch", 8).put("micro-batches", 4);
    tree.put("layers", 4).put("hidden", 8).put("heads", 2).put("sequence", 6);
    tree.put("vocabulary", 11);
    for (String change : changes.split(" ")) {
      String[] sides = change.split(":");
      if (sides[1].matches("[0-9]+")) {
        tree.put(sides[0], Integer.parseInt(sides[1]));
      } else {
        tree.put(sides[0], sides[1]);
      }
    }
    return TrainConfig.defaultsOf("gpt").with(tree, "the test");
  }

  private static void fill(Function<String, MemorySegment> input) {
    var random = new Random(1);
    for (String name : List.of("tokens", "targets")) {
      MemorySegment data = input.apply(name);
      for (long i = 0; i < data.byteSize() / Long.BYTES; i++) {
        data.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextInt(11));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "micro-batches:3",
    "devices:2 mesh:data=2",
    "stages:2",
    "stages:4 schedule:gpipe recompute:full",
    "stages:2 schedule:eager-1f1b micro-batches:8",
    "stages:4 schedule:shifted recompute:full micro-batches:8",
    "stages:4 schedule:shifted recompute:full recompute-timing:inline",
    "stages:2 schedule:interleaved recompute:fraction=0.5",
    "stages:4 schedule:zero-bubble micro-batches:8",
    "stages:2 mesh:data=2 recompute:full",
  })
  void everyQueueOfEveryDeviceKeepsTheSimulatedOrder(String changes) {
    TrainConfig config = config(changes);
    List<RunRecord> records;
    try (Session session = Session.open(config)) {
      session.initialize();
      session.step(1, 1e-2, (_, input) -> fill(input));
      records = session.lastStep();
    }
    assertEquals(
        List.of("train", "norm", "update"), records.stream().map(r -> r.program().name()).toList());
    Program program = records.getFirst().program();
    Timeline real = records.getFirst().timeline(records.getFirst().begin());
    String text = ProgramText.print(program);
    assertEquals(text, ProgramText.print(ProgramText.parse(text)));
    int devices = program.stages().getFirst().mesh().size();
    Simulation simulation =
        Simulator.simulate(
            program,
            ClusterCosts.of(ClusterFile.read("p3.16xlarge:1"), program.stages().size(), devices));
    Timeline simulated = simulation.timeline("simulated");
    for (StageProgram stage : program.stages()) {
      int number = stage.stage();
      for (int device = 0; device < devices; device++) {
        for (Queue queue : List.of(Queue.COMPUTE, Queue.SEND)) {
          List<String> done = Comparison.order(real, number, device, queue);
          List<String> said =
              stage.steps().stream()
                  .filter(step -> step.queue() == queue)
                  .map(step -> Timeline.name(stage, step))
                  .toList();
          assertEquals(said, done);
          assertEquals(Comparison.order(simulated, number, 0, queue), done);
        }
        assertEquals(
            simulation.order().get(number).stream().map(Object::toString).toList(),
            Comparison.order(real, number, device, Queue.COMPUTE).stream()
                .filter(name -> !name.equals("clear"))
                .toList());
        requireAwaited(stage, device, real);
      }
      requireWaitsWithinRuns(number, real, devices > 1);
    }
    double bubble = Comparison.bubble(program, real);
    assertTrue(bubble > 0 && bubble < 1, "a bubble of " + bubble);
    assertTrue(StepTrace.makespan(real) > 0);
  }

  /** Nothing begins before what it awaits has ended; every receive is a send, at the same time. */
  private static void requireAwaited(StageProgram stage, int device, Timeline real) {
    Map<String, Timeline.Event> events = new HashMap<>();
    for (Timeline.Event event : real.events()) {
      if (event.stage() == stage.stage() && event.device() == device) {
        events.put(event.queue() + event.name(), event);
      }
    }
    for (Step step : stage.steps()) {
      Timeline.Event own = events.get(step.queue() + Timeline.name(stage, step));
      assertTrue(own.start() >= 0 && own.end() >= own.start(), own.toString());
      for (int awaited : step.awaits()) {
        Step before = stage.steps().get(awaited);
        Timeline.Event other = events.get(before.queue() + Timeline.name(stage, before));
        assertTrue(other.end() <= own.start(), own + " awaits " + other);
      }
      if (step instanceof Step.Receive receive) {
        String words = Timeline.name(stage, step);
        String sent = words.replace(" from " + receive.stage(), " to " + stage.stage());
        assertTrue(
            real.events().stream()
                .anyMatch(
                    e ->
                        e.queue() == Queue.SEND
                            && e.stage() == receive.stage()
                            && e.device() == device
                            && e.name().equals(sent)
                            && e.start() == own.start()
                            && e.end() == own.end()),
            words);
      }
    }
  }

  private static void requireWaitsWithinRuns(int stage, Timeline real, boolean collectives) {
    assertEquals(
        collectives,
        real.events().stream().anyMatch(e -> e.queue() == Queue.COLLECTIVE && e.stage() == stage));
    List<Timeline.Wait> waits = real.waits().stream().filter(w -> w.stage() == stage).toList();
    assertTrue(collectives || waits.isEmpty());
    for (Timeline.Wait wait : waits) {
      assertFalse(
          real.events().stream()
              .filter(
                  e ->
                      e.queue() == Queue.COMPUTE
                          && e.stage() == stage
                          && e.device() == wait.device())
              .noneMatch(e -> e.start() <= wait.start() && wait.end() <= e.end()),
          wait + " is in no run");
    }
  }
}
