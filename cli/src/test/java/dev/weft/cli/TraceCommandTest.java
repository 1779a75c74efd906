package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.runtime.cluster.ClusterFile;
import dev.weft.runtime.trainer.TrainConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What two stages of two devices did, told by the command. */
final class TraceCommandTest {
  private static final int MICRO_BATCHES = 4;

  @TempDir static Path folder;
  private static Path run;

  @BeforeAll
  static void train() throws IOException {
    Path text = folder.resolve("text.txt");
    Files.writeString(text, "The cat sat on the mat, and the dog looked on. ".repeat(200));
    ObjectNode changes = new ObjectMapper().createObjectNode();
    changes.put("layers", 2).put("hidden", 16).put("heads", 2).put("sequence", 16);
    changes.put("batch", 8).put("micro-batches", MICRO_BATCHES).put("stages", 2);
    changes.put("mesh", "data=2").put("threads", 1).put("steps", 7).put("log-every", 1);
    changes.put("name", "traced").putArray("data").add(text.toString());
    TrainConfig config = TrainConfig.DEFAULT.with(changes, "the test").resolved();
    run = Trainings.train(folder, "traced", config);
  }

  private static WeftProcess.Ended trace(String more) {
    return WeftProcess.runHere(
        Stream.concat(
                Stream.of("trace", run), more.isEmpty() ? Stream.of() : Stream.of(more.split(" ")))
            .toArray());
  }

  private static JsonNode json(String more) throws IOException {
    WeftProcess.Ended ended = trace((more + " --format json").strip());
    assertEquals(0, ended.code(), ended.output());
    return new ObjectMapper().readTree(ended.output());
  }

  @Test
  void theLastStepAsPageAndTrace() throws IOException {
    WeftProcess.Ended ended = trace("");
    assertEquals(0, ended.code(), ended.output());
    assertTrue(ended.output().startsWith("traced, step 7\ntrain "), ended.output());
    String page = Files.readString(run.resolve("trace/timeline.html"));
    assertFalse(page.contains("http"), "a page that needs the network");
    var threads = new TreeSet<String>();
    var actions = new TreeSet<String>();
    for (JsonNode event :
        new ObjectMapper()
            .readTree(run.resolve("trace/perfetto.json").toFile())
            .get("traceEvents")) {
      if (event.get("ph").asText().equals("X") && !event.get("cat").asText().equals("wait")) {
        threads.add(event.get("pid") + " " + event.get("cat").asText());
        if (event.get("cat").asText().equals("compute")) {
          actions.add(event.get("pid") + " " + event.get("name").asText());
        }
        assertTrue(event.get("dur").asDouble() >= 0);
      }
    }
    // Four devices, on each of which the queues compute, send, receive, take data in and sum up.
    assertEquals(4 * 5, threads.size(), threads.toString());
    for (int microBatch = 0; microBatch < MICRO_BATCHES; microBatch++) {
      assertTrue(actions.contains("0 F" + microBatch), actions.toString());
      assertTrue(actions.contains("65537 B" + microBatch), actions.toString());
    }
    assertTrue(actions.contains("0 update"), actions.toString());
  }

  @Test
  void whereFilesGoIsTheUsers() throws IOException {
    Path page = folder.resolve("page.html");
    Path events = folder.resolve("events.json");
    JsonNode found = json("--html " + page + " --trace " + events);
    assertEquals(7, found.get("step").asInt());
    assertEquals(3, found.get("programs").size());
    assertEquals(page.toString(), found.get("html").asText());
    assertTrue(Files.size(page) > 1000 && Files.size(events) > 1000);
    double seconds = found.at("/programs/0/seconds").asDouble();
    double busy = found.at("/per_stage/1/busy_seconds").asDouble();
    assertTrue(busy > 0 && busy < seconds, busy + " of " + seconds);
    assertTrue(found.get("seconds").asDouble() >= seconds);
  }

  @Test
  void besideTheSimulation() throws IOException {
    JsonNode found = json("--compare --cluster p3.16xlarge:1");
    // The first step of a process is left out, and no more than five are kept.
    assertEquals("[3,4,5,6,7]", found.get("steps").toString());
    assertTrue(found.at("/makespan_ms/real").asDouble() > 0);
    assertTrue(found.at("/makespan_ms/simulated").asDouble() > 0);
    double bubble = found.at("/bubble/simulated").asDouble();
    assertTrue(bubble > 0 && bubble < 1, "a bubble of " + bubble);
    int runs = 0;
    for (JsonNode fragment : found.get("fragments")) {
      assertTrue(fragment.get("real_ms").asDouble() > 0, fragment.toString());
      assertEquals(
          fragment.get("real_ms").asDouble() / fragment.get("simulated_ms").asDouble(),
          fragment.get("ratio").asDouble(),
          1e-9);
      runs += fragment.get("count").asInt();
    }
    // Five steps, two stages of two devices, forward and backward.
    assertEquals(5 * 2 * 2 * 2 * MICRO_BATCHES, runs);
    assertEquals(2, found.get("transfers").size());
    String page = Files.readString(run.resolve("trace/compare.html"));
    assertTrue(page.contains("\"title\":\"real, step 7\""));
    assertTrue(page.contains("\"title\":\"simulated on p3.16xlarge\""));

    String words = trace("--compare --cluster p3.16xlarge:1").output();
    assertTrue(words.contains("5 steps up to 7 (medians), simulated on p3.16xlarge"), words);
    for (String line : List.of("makespan", "bubble, %", "stage 1 computes", "  forward")) {
      assertTrue(words.contains("\n" + line), words);
    }
  }

  @Test
  void mistakesAreTheUsers() throws IOException {
    mistake(trace("--cluster p3.16xlarge"), "add --compare");
    mistake(trace("--compare --cluster p3.16xlage"), "did you mean 'p3.16xlarge'?");
    mistake(WeftProcess.runHere("trace", folder.resolve("no")), "there is no run");
    Path own = run.resolve("cluster.json");
    ClusterFile.write(ClusterFile.read("p3.16xlarge:1"), "as the run has them", own);
    assertEquals(0, trace("--compare").code());
    String smaller =
        Files.readString(own).replace("\"devices_per_host\" : 8", "\"devices_per_host\" : 3");
    Files.writeString(own, smaller);
    mistake(trace("--compare"), "--devices 4 --threads 1 --out " + own);
    Files.delete(own);

    Path steps = run.resolve("trace/steps.json");
    byte[] whole = Files.readAllBytes(steps);
    Files.writeString(steps, "{");
    mistake(trace(""), "is damaged");
    Files.write(steps, whole);
    Path untraced = Files.createDirectory(folder.resolve("untraced"));
    Files.copy(run.resolve("config.yaml"), untraced.resolve("config.yaml"));
    mistake(WeftProcess.runHere("trace", untraced), "./weft train --resume " + untraced);
  }

  private static void mistake(WeftProcess.Ended ended, String words) {
    assertEquals(Main.USER_MISTAKE, ended.code(), ended.output());
    assertTrue(ended.output().contains(words), ended.output());
  }
}
