package dev.weft.runtime.run;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.runtime.testing.Mistake;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RunDirectoryTest {
  @TempDir Path folder;

  private static ObjectNode config() {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    config.put("name", "no").put("seed", 1L << 40).put("learning-rate", 3e-4).put("dtype", "1e3");
    config.put("tied", true).put("note", "a: b # c").put("empty", "").putNull("nothing");
    config.putObject("model").putArray("sizes").add(1).add(2);
    return config;
  }

  private static ObjectNode metrics(long step) {
    return JsonNodeFactory.instance.objectNode().put("step", step).put("loss", 1.5);
  }

  @Test
  void theConfigurationComesBack() throws IOException {
    try (RunDirectory run = RunDirectory.create(folder.resolve("runs"), "gpt", config())) {
      assertEquals("gpt", run.name());
      JsonMapper mapper = new JsonMapper();
      assertEquals(mapper.readTree(config().toString()), mapper.readTree(run.config().toString()));
      assertTrue(
          Files.readString(run.path().resolve("config.yaml")).contains("seed: 1099511627776"));
    }
  }

  @Test
  void oneProcessTrainsARunAndOthersMayRead() {
    Path path = folder.resolve("gpt");
    try (RunDirectory run = RunDirectory.create(folder, "gpt", config())) {
      String message = Mistake.message(() -> RunDirectory.resume(path));
      assertTrue(message.contains("another process trains '" + path + "'"), message);
      assertTrue(message.contains("process " + ProcessHandle.current().pid()), message);
      try (RunDirectory reader = RunDirectory.read(path)) {
        assertTrue(reader.checkpoints().latest().isEmpty());
        assertThrows(IllegalStateException.class, () -> reader.checkpoints(3));
        assertThrows(IllegalStateException.class, () -> reader.metrics(0));
      }
      assertTrue(run.checkpoints(3).steps().isEmpty());
    }
    RunDirectory.resume(path).close();
  }

  @Test
  void aRunIsNotOverwritten() {
    RunDirectory.create(folder, "gpt", config()).close();
    String message = Mistake.message(() -> RunDirectory.create(folder, "gpt", config()));
    assertTrue(message.contains("--resume " + folder.resolve("gpt")), message);
    assertEquals("gpt-2", RunDirectory.unusedName(folder, "gpt"));
    RunDirectory.create(folder, "gpt-2", config()).close();
    assertEquals("gpt-3", RunDirectory.unusedName(folder, "gpt"));
    assertEquals("mlp", RunDirectory.unusedName(folder, "mlp"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", ".", "..", "../x", "/x", "a/b", "a\\b", ".x", "-x", "a b", "ä", "a\n"})
  void namesThatCouldLeadElsewhereAreRefused(String name) {
    assertThrows(UserException.class, () -> RunDirectory.create(folder, name, config()));
  }

  @Test
  void whatIsNoRunIsSaid() {
    String missing = Mistake.message(() -> RunDirectory.read(folder.resolve("x")));
    assertTrue(missing.contains("there is no run"), missing);
    String other = Mistake.message(() -> RunDirectory.resume(folder));
    assertTrue(other.contains("has no config.yaml"), other);
  }

  @Test
  void metricsGoOnWhereTheRunGoesOn() throws IOException {
    Path path = folder.resolve("gpt");
    Path file = path.resolve("metrics.jsonl");
    try (RunDirectory run = RunDirectory.create(folder, "gpt", config());
        MetricsLog log = run.metrics(0)) {
      for (long step = 1; step <= 5; step++) {
        log.append(metrics(step));
        assertEquals(step, Files.readAllLines(file).size());
      }
    }
    Files.writeString(file, "{\"step\":6,\"lo", StandardOpenOption.APPEND);
    try (RunDirectory run = RunDirectory.resume(path);
        MetricsLog log = run.metrics(9)) {
      log.append(metrics(6));
    }
    assertEquals(6, Files.readAllLines(file).size());
    try (RunDirectory run = RunDirectory.resume(path);
        MetricsLog log = run.metrics(3)) {
      log.append(metrics(4));
    }
    assertEquals(
        List.of(1, 2, 3, 4),
        Files.readAllLines(file).stream().map(RunDirectoryTest::step).toList());
  }

  private static int step(String line) {
    try {
      return new JsonMapper().readTree(line).path("step").asInt();
    } catch (IOException malformed) {
      throw new AssertionError(line, malformed);
    }
  }

  @Test
  void theSummaryIsReplacedWhole() throws IOException {
    try (RunDirectory run = RunDirectory.create(folder, "gpt", config())) {
      run.writeSummary(metrics(1));
      run.writeSummary(metrics(2));
      String summary = Files.readString(run.path().resolve("summary.json"));
      assertEquals(2, step(summary));
    }
  }
}
