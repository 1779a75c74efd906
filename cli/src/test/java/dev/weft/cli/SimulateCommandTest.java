package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.runtime.cluster.ClusterFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class SimulateCommandTest {
  @TempDir Path directory;

  private static WeftProcess.Ended run(String line) {
    return WeftProcess.runHere((Object[]) ("simulate " + line).split(" "));
  }

  private static JsonNode json(String line) throws Exception {
    WeftProcess.Ended ended = run(line + " --format json");
    assertEquals(0, ended.code(), ended.output());
    String output = ended.output();
    return new ObjectMapper().readTree(output);
  }

  @Test
  void publishedFigures() throws Exception {
    JsonNode found =
        json(
            "--stages 4 --micro-batches 8 --schedule shifted --recompute full --unit-costs"
                + " F=1,B=2,R=1");
    assertEquals(38, found.get("makespan").asDouble());
    assertEquals("[4,3,3,1]", found.get("peak_live").toString());
    assertEquals(
        "[\"F0\",\"F1\",\"F2\",\"R0\",\"B0\",\"R1\",\"B1\",\"F3\"",
        found.get("order").get(2).toString().substring(0, 40));
    assertEquals(1 - (3 * 32 + 24) / (4.0 * 38), found.get("bubble").asDouble(), 1e-8);
  }

  @Test
  void theStageAwareRuleHasAUsualShare() throws Exception {
    String line = "--stages 4 --micro-batches 8 --recompute stage-aware";
    assertEquals(json(line + "=0.6"), json(line));
  }

  @Test
  void aModelOnACluster() throws Exception {
    String line =
        "--model gpt-350m --stages 4 --micro-batches 8 --batch 32 --recompute full"
            + " --recompute-timing inline --dtype bf16 --cluster p3.16xlarge:1";
    JsonNode found = json(line);
    JsonNode alone = json(line.replace("--stages 4", "--stages 1"));
    assertEquals(4, found.get("per_stage").size());
    double speedup = alone.get("seconds").asDouble() / found.get("seconds").asDouble();
    assertTrue(
        speedup > 2 && speedup < 1.02 * 4 * 8 / 11, "4 stages are " + speedup + " times as fast");
    assertEquals(2 * 3, found.get("links").size());
    WeftProcess.Ended mistake = run(line.replace("--stages 4", "--stages 16 --mesh data=2"));
    assertEquals(2, mistake.code());
    assertTrue(mistake.output().contains("p3.16xlarge:4"), mistake.output());
  }

  /** Bytes of parameters follow from where the model is cut; the slower the worse the cut. */
  @Test
  void aModelIsCutAtScopes() throws Exception {
    String line =
        "--model gpt-350m --stages 2 --micro-batches 4 --batch 8 --dtype bf16 --cluster a100";
    double best = json(line).get("seconds").asDouble();
    JsonNode uneven = json(line + " --cut h.20");
    double first = uneven.get("per_stage").get(0).get("busy_seconds").asDouble();
    assertTrue(first > 2 * uneven.get("per_stage").get(1).get("busy_seconds").asDouble());
    assertTrue(uneven.get("seconds").asDouble() > 1.1 * best);
  }

  /** With room for all nothing is made again; with less as much as is needed; else it is said. */
  @Test
  void recomputationIsFittedToMemory() throws Exception {
    String line = "--model gpt-350m --stages 2 --micro-batches 4 --batch 8 --dtype bf16 --cluster ";
    JsonNode none = json(line + "a100 --recompute none");
    JsonNode full = json(line + "a100 --recompute full");
    assertEquals(none.get("seconds"), json(line + "a100 --recompute auto").get("seconds"));
    long most = none.get("per_stage").get(0).get("bytes_per_device").asLong();
    long least = full.get("per_stage").get(0).get("bytes_per_device").asLong();
    long memory = (most + least) / 2;
    JsonNode some = json(line + smaller(memory) + " --recompute auto");
    assertTrue(some.get("seconds").asDouble() > none.get("seconds").asDouble());
    assertTrue(some.get("seconds").asDouble() < full.get("seconds").asDouble());
    for (JsonNode stage : some.get("per_stage")) {
      assertTrue(stage.get("fits").asBoolean());
      assertTrue(stage.get("bytes_per_device").asLong() <= memory);
    }
    WeftProcess.Ended ended = run(line + smaller(least / 2) + " --recompute auto");
    assertEquals(2, ended.code(), ended.output());
    assertTrue(ended.output().contains(" of 2 does not fit: each of its devices has"));
    ended = run(line + smaller(least / 2) + " --recompute none");
    assertEquals(0, ended.code(), ended.output());
    assertTrue(ended.output().contains("note: stage "), ended.output());
  }

  private Path smaller(long memory) {
    Cluster a100 = ClusterFile.read("a100");
    DeviceProfile device = a100.device();
    var profile =
        new DeviceProfile(
            Bytes.of(memory),
            device.peaks(),
            device.bytesPerSecond(),
            device.callSeconds(),
            device.efficiency());
    Path file = directory.resolve("smaller.json");
    ClusterFile.write(
        new Cluster("smaller", 1, 8, profile, a100.within(), a100.between(), true),
        "smaller",
        file);
    return file;
  }

  @ParameterizedTest
  @CsvSource({
    "--stages 4 --micro-batches 8 --recompute full, 41",
    "--stages 4 --micro-batches 8 --recompute full --recompute-timing inline, 44",
    "--stages 4 --micro-batches 8 --recompute stage-aware=1, 39",
    "--stages 4 --micro-batches 8 --schedule gpipe --recompute fraction=0, 33",
    "--stages 1 --micro-batches 3 --recompute fraction=0.5 --unit-costs F=1;R=3, 13.5",
    "--stages 4 --micro-batches 8 --schedule interleaved, 28.5",
    "--stages 4 --micro-batches 8 --schedule interleaved --chunks 3, 27",
    "--stages 4 --micro-batches 8 --schedule zero-bubble, 27",
    "--stages 4 --micro-batches 16 --schedule eager-1f1b --link-delay 0.5, 60",
    "--stages 4 --micro-batches 16 --link-delay 0.5, 71",
  })
  void makespans(String line, double makespan) throws Exception {
    assertEquals(makespan, json(line.replace(';', ',')).get("makespan").asDouble());
  }

  @Test
  void whatWouldLoseIsReplacedAndSaid() {
    WeftProcess.Ended ended =
        run(
            "--stages 4 --micro-batches 16 --schedule shifted --recompute full --recompute-timing"
                + " inline --link-delay 0.5");
    assertEquals(0, ended.code());
    assertTrue(ended.output().contains("makespan 74, bubble"), ended.output());
    assertTrue(
        ended
            .output()
            .contains(
                "note: shifted would take 82 here; taken instead: shifted with every recompute"
                    + " early, which takes 74"),
        ended.output());
  }

  @Test
  void aTimelineInLetters() {
    assertEquals(
        """
        1f1b, 2 stages, 2 micro-batches
        makespan 9, bubble 33.33 %

         stage      busy   waiting   exposed  live  held
             0         6         3         0     2     2
             1         6         3         0     1     1

         stage
             0  FF..BB.BB
             1  .FBBFBB..
        """,
        run("--stages 2 --micro-batches 2").output());
  }

  @Test
  void aPageAndATrace() throws Exception {
    Path page = directory.resolve("out.html");
    Path trace = directory.resolve("out.json");
    WeftProcess.Ended ended =
        run("--stages 3 --micro-batches 4 --link-delay 0.5 --html " + page + " --trace " + trace);
    assertEquals(0, ended.code(), ended.output());
    String html = Files.readString(page);
    assertTrue(html.contains("\"title\":\"1f1b, 3 stages, 4 micro-batches\""));
    assertFalse(html.contains("http"), "a page that needs the network");
    JsonNode events = new ObjectMapper().readTree(trace.toFile()).get("traceEvents");
    int computed = 0;
    for (JsonNode event : events) {
      if (event.get("ph").asText().equals("X") && event.get("cat").asText().equals("compute")) {
        computed++;
      }
    }
    assertEquals(3 * 4 * 2, computed);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--stages 8 --micro-batches 6 --schedule shifted | raise --micro-batches to 8",
        "--stages 4 --micro-batches 6 --schedule shiftd | did you mean 'shifted'?",
        "--stages 0 --micro-batches 6 | --stages must be at least 1, found 0",
        "--stages 2 --micro-batches 6 --chunks 2 | --schedule interleaved",
        "--stages 4 --micro-batches 6 --schedule interleaved | change --micro-batches to 8",
        "--stages 4 --micro-batches 6 --unit-costs F=1,Q=2 | found 'Q=2'",
        "--stages 4 --micro-batches 6 --link-delay -1 | at least 0 and at most 1e+12, found -1",
        "--stages 4 --micro-batches 6 --link-delay 1e308 | at most 1e+12, found 1.0E308",
        "--stages 4 --micro-batches 6 --unit-costs F=1,B=1e308 | at most 1e+12, found B=1.0E308",
        "--stages 1000000 --micro-batches 1000000 | simulated are at most 16,777,216",
        "--model gpt --cluster a100 --stages 2 --micro-batches 4 --link-delay 1 | leave them out",
        "--model gpt --cluster a100 --stages 2 --micro-batches 4 --unit-costs F=1 | leave them out",
        "--stages 4 --micro-batches 6 --recompute ful | recompute must be none, full",
        "--stages 4 --micro-batches 6 --recompute fraction=2 | a number from 0 to 1 after =, found"
            + " 2",
        "--stages 4 --micro-batches 6 --recompute auto | --recompute auto is fitted to the memory",
        "--stages 4 --micro-batches 6 --cut h.1 | add --model",
        "--model gpt --cluster a100 --stages 3 --micro-batches 4 --cut h.1 | --stages 3 has 3: name"
            + " 2 scopes",
        "--model gpt --cluster a100 --stages 2 --micro-batches 4 --cut hh.1 | did you mean 'h.1'?",
        "--model gpt --cluster a100 --stages 2 --micro-batches 4 --cut h.1.qkv | cut before 'h.1'",
        "--model gpt --cluster a100 --stages 2 --micro-batches 4 --cut embedding | the model begins"
            + " there",
        "--model gpt --cluster a100 --stages 1 --micro-batches 4 --cut h.1 | add --stages 2",
        "--stages 4 --micro-batches 6 --recompute-timing late | must be early or inline, found"
            + " 'late'",
        "--stages 4 --micro-batches x | 'x'",
        "--stages 4 | --micro-batches",
      })
  void mistakesAreTheUsers(String line, String words) {
    WeftProcess.Ended ended = run(line);
    assertEquals(2, ended.code(), ended.output());
    assertTrue(ended.output().contains(words), ended.output());
  }
}
