package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import org.junit.jupiter.api.Test;

final class DoctorCommandTest {
  @Test
  void tellsWhatTheMachineHas() throws Exception {
    var ended = WeftProcess.runHere("doctor", "--format", "json");
    JsonNode report = new ObjectMapper().readTree(ended.output());
    boolean stops = false;
    for (JsonNode problem : report.get("problems")) {
      stops |= problem.get("stops_training").asBoolean();
      assertTrue(!problem.get("mend").asText().isEmpty(), problem.toString());
    }
    assertEquals(stops ? Main.USER_MISTAKE : 0, ended.code(), ended.output());
    assertEquals(System.getProperty("java.home"), report.at("/java/home").asText());
    assertEquals(Runtime.getRuntime().availableProcessors(), report.at("/processor/cores").asInt());
    assertTrue(
        report.at("/memory/bytes").asLong() >= report.at("/memory/available_bytes").asLong());
    assertTrue(report.at("/libtorch/version").asText().matches("2\\.\\d+\\.\\d+"), ended.output());
    for (String dtype : List.of("f32", "bf16", "f64")) {
      assertTrue(report.at("/matmul_flops_per_second/" + dtype).asDouble() > 1e6, dtype);
    }
  }
}
