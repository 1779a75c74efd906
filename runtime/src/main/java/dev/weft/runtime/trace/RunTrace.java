package dev.weft.runtime.trace;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.CollectiveTable;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.op.Expansion;
import dev.weft.core.op.GraphTextException;
import dev.weft.core.program.Program;
import dev.weft.core.program.ProgramText;
import dev.weft.core.program.Queue;
import dev.weft.core.program.Timeline;
import dev.weft.runtime.storage.Disk;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What devices did in some steps of a run, in a folder of two files: the program that makes
 * gradients, as text, and the steps' timelines as JSON.
 *
 * @param steps the latest last; at least one
 */
public record RunTrace(Program program, List<StepTrace> steps) {
  private static final String PROGRAM = "program.txt";
  private static final String STEPS = "steps.json";
  private static final int VERSION = 1;
  private static final double NANOS = 1e9;
  private static final ObjectMapper JSON = new ObjectMapper();

  public RunTrace {
    steps = List.copyOf(steps);
    if (steps.isEmpty()) {
      throw new IllegalArgumentException("a trace of no step");
    }
  }

  /**
   * Writes into a folder, made where it is missing, over what is there. A user's own composites
   * stand there as what they are made of.
   *
   * @throws IOException if that fails; what was there before is unharmed
   * @throws IllegalArgumentException if the program has other ops of a user's own, which its text
   *     cannot be read with
   */
  public void write(Path folder) throws IOException {
    String text = ProgramText.print(inOwnOps(program));
    Files.createDirectories(folder);
    Disk.local().replace(folder.resolve(PROGRAM), text.getBytes(StandardCharsets.UTF_8));
    writeSteps(folder);
  }

  /** The program in ops that the text form knows. */
  private static Program inOwnOps(Program program) {
    return program.map(
        graph -> {
          Graph own = Expansion.expand(graph, node -> !isKnown(node.op()));
          requireKnown(own);
          return own;
        });
  }

  private static void requireKnown(Graph graph) {
    for (Node node : graph.nodes()) {
      if (!isKnown(node.op())) {
        throw new IllegalArgumentException(
            "%s is no op of Weft's, nor made of such, so that no trace can tell of it"
                .formatted(node.op().getClass().getName()));
      }
      node.op().bodies().forEach(RunTrace::requireKnown);
    }
  }

  private static boolean isKnown(Op op) {
    return CollectiveTable.ALL.find(op.name()).filter(op.getClass()::equals).isPresent();
  }

  /** Writes the steps only, into a folder that has the program. */
  public void writeSteps(Path folder) throws IOException {
    Disk.local().replace(folder.resolve(STEPS), JSON.writeValueAsBytes(tree()));
  }

  private ObjectNode tree() {
    ObjectNode tree = JSON.createObjectNode();
    tree.put("version", VERSION);
    ArrayNode all = tree.putArray("steps");
    for (StepTrace step : steps) {
      ObjectNode node = all.addObject();
      node.put("step", step.step());
      ArrayNode programs = node.putArray("programs");
      step.programs().forEach(timeline -> programs.add(tree(timeline)));
    }
    return tree;
  }

  /** Times are whole nanoseconds, as they were measured. */
  private static ObjectNode tree(Timeline timeline) {
    ObjectNode node = JSON.createObjectNode();
    node.put("title", timeline.title());
    ArrayNode events = node.putArray("events");
    for (Timeline.Event event : timeline.events()) {
      events
          .addArray()
          .add(event.stage())
          .add(event.device())
          .add(event.queue().text())
          .add(event.name())
          .add(nanos(event.start()))
          .add(nanos(event.end()));
    }
    ArrayNode waits = node.putArray("waits");
    for (Timeline.Wait wait : timeline.waits()) {
      waits
          .addArray()
          .add(wait.stage())
          .add(wait.device())
          .add(nanos(wait.start()))
          .add(nanos(wait.end()));
    }
    ArrayNode levels = node.putArray("levels");
    for (Timeline.Level level : timeline.levels()) {
      levels
          .addArray()
          .add(level.stage())
          .add(level.device())
          .add(nanos(level.time()))
          .add(level.bytes());
    }
    return node;
  }

  private static long nanos(double seconds) {
    return Math.round(seconds * NANOS);
  }

  /**
   * Reads a trace.
   *
   * @throws UserException if the folder has none, or a damaged one
   */
  public static RunTrace read(Path folder) {
    Path steps = folder.resolve(STEPS);
    Path program = folder.resolve(PROGRAM);
    try {
      JsonNode tree = JSON.readTree(Files.readAllBytes(steps));
      if (tree.path("version").asInt() != VERSION) {
        throw new UserException(
            "'%s' has version %s of traces, this Weft reads version %d: train on with --resume to have it written anew"
                .formatted(steps, tree.path("version"), VERSION));
      }
      var found = new ArrayList<StepTrace>();
      for (JsonNode step : tree.path("steps")) {
        var timelines = new ArrayList<Timeline>();
        step.path("programs").forEach(node -> timelines.add(timeline(node)));
        found.add(new StepTrace(step.path("step").asLong(), timelines));
      }
      return new RunTrace(ProgramText.parse(Files.readString(program)), found);
    } catch (NoSuchFileException e) {
      throw new UserException(
          "there is no trace in '%s': training writes one when its steps have been logged for some seconds, and at its end"
              .formatted(folder),
          e);
    } catch (JsonProcessingException | GraphTextException | IllegalArgumentException e) {
      throw new UserException(
          "the trace in '%s' is damaged: %s; train on with --resume to have it written anew"
              .formatted(folder, e.getMessage()),
          e);
    } catch (IOException e) {
      throw new UserException("cannot read '" + steps + "': " + e.getMessage(), e);
    }
  }

  private static Timeline timeline(JsonNode node) {
    var events = new ArrayList<Timeline.Event>();
    for (JsonNode event : fields(node, "events", 6)) {
      events.add(
          new Timeline.Event(
              event.get(0).asInt(),
              event.get(1).asInt(),
              queue(event.get(2).asText()),
              event.get(3).asText(),
              event.get(4).asLong() / NANOS,
              event.get(5).asLong() / NANOS));
    }
    var waits = new ArrayList<Timeline.Wait>();
    for (JsonNode wait : fields(node, "waits", 4)) {
      waits.add(
          new Timeline.Wait(
              wait.get(0).asInt(),
              wait.get(1).asInt(),
              wait.get(2).asLong() / NANOS,
              wait.get(3).asLong() / NANOS));
    }
    var levels = new ArrayList<Timeline.Level>();
    for (JsonNode level : fields(node, "levels", 4)) {
      levels.add(
          new Timeline.Level(
              level.get(0).asInt(),
              level.get(1).asInt(),
              level.get(2).asLong() / NANOS,
              level.get(3).asLong()));
    }
    return new Timeline(node.path("title").asText(), events, waits, levels);
  }

  private static List<JsonNode> fields(JsonNode node, String name, int count) {
    var rows = new ArrayList<JsonNode>();
    for (JsonNode row : node.path(name)) {
      if (row.size() != count) {
        throw new IllegalArgumentException(
            "one of the " + name + " has " + row.size() + " fields, expected " + count);
      }
      rows.add(row);
    }
    return rows;
  }

  private static Queue queue(String text) {
    return Arrays.stream(Queue.values())
        .filter(queue -> queue.text().equals(text))
        .findFirst()
        .orElseThrow(() -> new IllegalArgumentException("there is no queue '" + text + "'"));
  }
}
