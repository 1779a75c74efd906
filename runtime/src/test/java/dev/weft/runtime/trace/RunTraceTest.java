package dev.weft.runtime.trace;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Composite;
import dev.weft.core.op.Constant;
import dev.weft.core.op.Tensor;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.ProgramText;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Timeline;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.simulate.EqualStages;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.core.simulate.UnitCosts;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class RunTraceTest {
  private static final int STAGES = 2;
  private static final int MICRO_BATCHES = 3;

  @TempDir Path folder;

  /** A pipeline in which a forward takes a millisecond, and a transfer a tenth. */
  private static Simulation simulation() {
    var costs =
        new UnitCosts(
            UnitCosts.parse("F=0.001,B=0.002"),
            Collections.nCopies(STAGES, 0.0),
            STAGES,
            new Link(1e-4, Double.POSITIVE_INFINITY));
    var order = Schedules.named("1f1b").order(Setting.of(STAGES, MICRO_BATCHES));
    return Simulator.simulate(EqualStages.program(order), costs);
  }

  /** What a run would be that takes longer than simulated, all but for its transfers. */
  private static StepTrace step(long number, double slower) {
    Timeline simulated = simulation().timeline("train");
    var events = new ArrayList<Timeline.Event>();
    for (Timeline.Event event : simulated.events()) {
      events.add(
          new Timeline.Event(
              event.stage(),
              event.device(),
              event.queue(),
              event.name(),
              event.start() * slower,
              event.queue() == Queue.RECEIVE
                  ? event.start() * slower + event.end() - event.start()
                  : event.end() * slower));
    }
    var waits = List.of(new Timeline.Wait(1, 0, 0.002, 0.0025));
    var levels = List.of(new Timeline.Level(0, 0, 0, 100), new Timeline.Level(0, 0, 0.003, 40));
    var update =
        new Timeline(
            "update",
            List.of(new Timeline.Event(0, 0, Queue.COMPUTE, "update", 1, 1.25)),
            List.of(),
            List.of());
    return new StepTrace(number, List.of(new Timeline("train", events, waits, levels), update));
  }

  private static RunTrace trace() {
    return new RunTrace(simulation().program(), List.of(step(10, 2), step(20, 5), step(30, 3)));
  }

  @Test
  void whatIsWrittenIsRead() throws IOException {
    RunTrace trace = trace();
    Path place = folder.resolve("trace");
    trace.write(place);
    trace.write(place);
    RunTrace read = RunTrace.read(place);
    assertEquals(ProgramText.print(trace.program()), ProgramText.print(read.program()));
    assertEquals(3, read.steps().size());
    for (int i = 0; i < 3; i++) {
      StepTrace expected = trace.steps().get(i);
      StepTrace found = read.steps().get(i);
      assertEquals(expected.step(), found.step());
      assertEquals(expected.programs().size(), found.programs().size());
      Timeline first = expected.gradients();
      Timeline again = found.gradients();
      assertEquals(first.title(), again.title());
      assertEquals(first.events().size(), again.events().size());
      for (int k = 0; k < first.events().size(); k++) {
        Timeline.Event event = first.events().get(k);
        Timeline.Event other = again.events().get(k);
        assertEquals(
            new Timeline.Event(
                event.stage(),
                event.device(),
                event.queue(),
                event.name(),
                other.start(),
                other.end()),
            other);
        assertEquals(event.start(), other.start(), 1e-9);
        assertEquals(event.end(), other.end(), 1e-9);
      }
      assertEquals(first.waits(), again.waits());
      assertEquals(first.levels(), again.levels());
    }
    try (var files = Files.list(place)) {
      assertEquals(2, files.count(), "nothing else is left");
    }
  }

  /** An op that a user has made of Weft's. */
  private record Tripled() implements Composite {
    @Override
    public List<TensorType> infer(List<TensorType> inputs) {
      return inputs;
    }

    @Override
    public Factors factors(List<TensorType> inputs) {
      List<List<List<String>>> dims = List.of(Factors.named("d", inputs.getFirst().rank()));
      return new Factors(dims, dims, Map.of());
    }

    @Override
    public Cost cost(List<TensorType> inputs) {
      return Cost.streaming(1, inputs, inputs);
    }

    @Override
    public List<Tensor> expand(List<Tensor> inputs) {
      return List.of(inputs.getFirst().times(3));
    }
  }

  /** An op that is not made of any. */
  private record Noise() implements Op {
    @Override
    public List<TensorType> infer(List<TensorType> inputs) {
      return inputs;
    }

    @Override
    public Factors factors(List<TensorType> inputs) {
      return new Tripled().factors(inputs);
    }

    @Override
    public Cost cost(List<TensorType> inputs) {
      return new Tripled().cost(inputs);
    }
  }

  /** The pipeline's program where every fragment also applies an op to a number. */
  private static RunTrace with(Op op) {
    return new RunTrace(simulation().program().map(graph -> with(graph, op)), List.of(step(10, 2)));
  }

  private static Graph with(Graph graph, Op op) {
    TensorType number = TensorType.scalar(DataType.F32);
    var origin = new Origin("y", Role.FORWARD, "");
    var one = new Value("one.of.user", number);
    var made = new Value("made.by.user", number);
    var nodes = new ArrayList<>(graph.nodes());
    Op constant = new Constant(Literal.scalar(DataType.F32, 1));
    nodes.add(new Node(constant, List.of(), List.of(one), origin));
    nodes.add(new Node(op, List.of(one), List.of(made), origin));
    return new Graph(graph.name(), graph.inputs(), nodes, graph.outputs());
  }

  @Test
  void compositesOfAUserAreReadAsWhatTheyAreMadeOf() throws IOException {
    with(new Tripled()).write(folder);
    RunTrace read = RunTrace.read(folder);
    for (StageProgram stage : read.program().stages()) {
      for (Fragment fragment : stage.fragments()) {
        Graph graph = fragment.graph();
        Node last =
            Objects.requireNonNull(
                graph.producers().get(graph.nodes().getLast().output(0)), fragment.name());
        assertEquals("made.by.user", last.output(0).name());
        assertEquals("multiply", last.op().name());
      }
    }
    Comparison comparison = Comparison.of(read, simulation());
    assertEquals(0.002, comparison.parts().getFirst().time().real(), 1e-9);
  }

  @Test
  void whatNoTextCanTellIsNotWritten() {
    RunTrace trace = with(new Noise());
    String message =
        assertThrows(IllegalArgumentException.class, () -> trace.write(folder)).getMessage();
    assertTrue(message.contains("Noise"), message);
    assertTrue(message().contains("there is no trace"), message());
  }

  @Test
  void aDamagedTraceIsRefused() throws IOException {
    Path steps = folder.resolve("steps.json");
    assertTrue(message().contains("there is no trace"), message());
    trace().write(folder);
    String text = Files.readString(steps);
    for (String damaged :
        List.of(
            text.substring(0, text.length() / 2),
            text.replace("\"compute\"", "\"computes\""),
            text.replace("[0,0,\"compute\",", "[0,\"compute\","),
            "{\"version\":1,\"steps\":[]}")) {
      Files.writeString(steps, damaged);
      assertTrue(message().contains("is damaged"), message());
    }
    Files.writeString(steps, text.replace("\"version\":1", "\"version\":2"));
    assertTrue(message().contains("reads version 1"), message());
    Files.writeString(steps, text);
    Files.writeString(folder.resolve("program.txt"), "program train");
    assertTrue(message().contains("is damaged"), message());
  }

  private String message() {
    return assertThrows(UserException.class, () -> RunTrace.read(folder)).getMessage();
  }

  @Test
  void comparesMedians() {
    Comparison comparison = Comparison.of(trace(), simulation());
    // 2, 5 and 3 times as slow.
    assertEquals(3, comparison.makespan().ratio(), 1e-9);
    assertEquals(comparison.bubble().simulated(), comparison.bubble().real(), 1e-9);
    for (Comparison.StageFigures stage : comparison.stages()) {
      assertEquals(3, stage.busy().ratio(), 1e-9);
      assertEquals(stage.stage() == 1 ? 0.0005 : 0, stage.waiting().real(), 1e-12);
    }
    assertEquals(
        List.of("0 forward", "0 backward", "0 receive", "1 forward", "1 backward", "1 receive"),
        comparison.parts().stream()
            .map(
                part ->
                    part.stage()
                        + " "
                        + (part.queue() == Queue.RECEIVE ? "receive" : work(part.name())))
            .toList());
    for (Comparison.Part part : comparison.parts()) {
      assertEquals(3 * MICRO_BATCHES, part.count());
      assertEquals(part.queue() == Queue.RECEIVE ? 1 : 3, part.time().ratio(), 1e-9);
    }
    assertEquals(0.003, comparison.parts().getFirst().time().real(), 1e-9);
  }

  private static String work(String name) {
    return name.startsWith("F") ? "forward" : "backward";
  }

  @Test
  void aTraceOfAnotherOrderIsRefused() {
    StepTrace step = step(10, 2);
    var events = new ArrayList<>(step.gradients().events());
    events.removeIf(event -> event.name().equals("B1"));
    var other =
        new RunTrace(
            simulation().program(),
            List.of(
                new StepTrace(10, List.of(new Timeline("train", events, List.of(), List.of())))));
    assertTrue(
        assertThrows(UserException.class, () -> Comparison.of(other, simulation()))
            .getMessage()
            .contains("not of the program"));
  }

  @Test
  void bothTimelinesInOnePageAndOneTrace() throws IOException {
    Timeline real = step(10, 2).whole("</script> real");
    Timeline simulated = simulation().timeline("simulated");
    String page = TimelinePage.of("both", List.of(real, simulated));
    assertFalse(page.contains("http"), "a page that needs the network");
    assertEquals(page.indexOf("</script>"), page.lastIndexOf("</script>"));
    int begin = page.indexOf("const data = ") + "const data = ".length();
    JsonNode data = new ObjectMapper().readTree(page.substring(begin, page.indexOf('\n', begin)));
    assertEquals(2, data.get("charts").size());
    assertEquals("[[0.002,0.0025]]", data.at("/charts/0/rows").findValue("waits").toString());

    JsonNode events = ChromeTrace.of(List.of(real, simulated)).get("traceEvents");
    var names = new ArrayList<String>();
    int waits = 0;
    for (JsonNode event : events) {
      if (event.get("name").asText().equals("process_name")) {
        names.add(event.at("/args/name").asText());
      }
      if (event.get("name").asText().equals("wait")) {
        waits++;
        assertEquals(500, event.get("dur").asDouble(), 1e-6);
      }
    }
    assertEquals(
        List.of(
            "</script> real: stage 0 device 0",
            "</script> real: stage 1 device 0",
            "simulated: stage 0 device 0",
            "simulated: stage 1 device 0"),
        names);
    assertEquals(1, waits);
  }
}
