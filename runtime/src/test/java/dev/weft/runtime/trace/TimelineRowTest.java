package dev.weft.runtime.trace;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.overlap.Level;
import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.Timeline;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.Simulation;
import dev.weft.core.simulate.Simulator;
import dev.weft.core.stage.Recomputation;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.PipelineStep;
import dev.weft.nn.step.StepGraphs;
import dev.weft.nn.step.SubPipelining;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Collectives of simulated steps in the rows of timelines. */
final class TimelineRowTest {
  private static final int LAYERS = 4;

  private static Program program(Level level) {
    var config = new ModelConfig(LAYERS, 64, 4, 16, 32, 0);
    var plan =
        new PipelinePlan(
                2,
                1,
                Mesh.parse("model=2"),
                0,
                2,
                Schedules.named("1f1b"),
                _ -> new Recomputation.None(),
                RecomputeTiming.EARLY)
            .withHalves(SubPipelining.at(level));
    return PipelineStep.of(
            StepGraphs.tokens(new Gpt(), config),
            StepGraphs.tokens(config, 4),
            DataType.F32,
            new Optimizer.SgdMomentum(0.9, false, 0),
            0,
            plan)
        .train();
  }

  private static Simulation simulation(Level level, boolean overlaps) {
    var device = new DeviceProfile(Bytes.of(1L << 34), Map.of("f32", 1e10), 1e10, 1e-6, Map.of());
    var link = new Link(1e-6, 1e9);
    var cluster = new Cluster("two of two", 1, 4, device, link, link, overlaps);
    return Simulator.simulate(program(level), new ClusterCosts(cluster, 2));
  }

  /** Both halves have as many collectives, within the fragments that they are of. */
  @ParameterizedTest
  @CsvSource({"true", "false"})
  void everyHalfHasARow(boolean overlaps) throws Exception {
    Timeline timeline = simulation(Level.STACK, overlaps).timeline("halves");
    List<TimelineRow> rows = TimelineRow.of(timeline);
    for (int stage = 0; stage < 2; stage++) {
      var counts = new ArrayList<Integer>();
      for (String half : List.of("a", "b")) {
        int count = 0;
        for (TimelineRow row : rows) {
          if (row.stage() == stage && row.half().equals(half)) {
            assertEquals(Queue.COLLECTIVE, row.queue());
            assertEquals("collective, half " + half, row.label());
            count += row.events().size();
          }
        }
        counts.add(count);
      }
      assertEquals(counts.get(0), counts.get(1));
      // Two sums for each layer's forward, of each of two micro-batches, at least.
      assertTrue(counts.get(0) >= 2 * LAYERS / 2 * 2, counts::toString);
    }
    for (Timeline.Event event : timeline.events()) {
      if (event.queue() == Queue.COLLECTIVE) {
        assertEquals(1, runs(timeline, event.stage(), event.start(), event.end()), event::name);
      }
    }
    for (Timeline.Wait wait : timeline.waits()) {
      assertEquals(1, runs(timeline, wait.stage(), wait.start(), wait.end()));
    }
    List<String> threads =
        names(ChromeTrace.of(timeline).get("traceEvents"), "thread_name", "/args/name");
    String page = TimelinePage.of(timeline);
    int begin = page.indexOf("const data = ") + "const data = ".length();
    JsonNode chart =
        new ObjectMapper()
            .readTree(page.substring(begin, page.indexOf('\n', begin)))
            .at("/charts/0/rows");
    var labels = new ArrayList<String>();
    chart.forEach(row -> labels.add(row.get("label").asText()));
    for (List<String> found : List.of(threads, labels)) {
      assertEquals(2, found.stream().filter(name -> name.endsWith("half a")).count());
      assertEquals(2, found.stream().filter(name -> name.endsWith("half b")).count());
    }
  }

  /** How many fragments run during all of a time. */
  private static long runs(Timeline timeline, int stage, double start, double end) {
    double slack = 1e-12;
    return timeline.events().stream()
        .filter(run -> run.queue() == Queue.COMPUTE && run.stage() == stage)
        .filter(run -> run.start() <= start + slack && end <= run.end() + slack)
        .count();
  }

  private static List<String> names(JsonNode events, String kind, String at) {
    var names = new ArrayList<String>();
    for (JsonNode event : events) {
      if (event.get("name").asText().equals(kind)) {
        names.add(event.at(at).asText());
      }
    }
    return names;
  }

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void whatIsWholeHasNoHalf(boolean overlaps) {
    List<TimelineRow> rows = TimelineRow.of(simulation(Level.OFF, overlaps).timeline("whole"));
    List<TimelineRow> collectives =
        rows.stream().filter(row -> row.queue() == Queue.COLLECTIVE).toList();
    assertEquals(2, collectives.size());
    for (TimelineRow row : collectives) {
      assertEquals("", row.half());
      assertEquals("collective", row.label());
    }
  }
}
