package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

final class SimulatorBenchTest {
  @Test
  void realAndSimulatedStandSideBySide() throws Exception {
    WeftProcess.Ended ended =
        WeftProcess.runHere(
            (Object[])
                ("bench simulator --steps 1 --layers 2 --hidden 32 --heads 2 --sequence 16 --batch"
                        + " 4 --micro-batches 2 --stages 2 --recompute full --format json")
                    .split(" "));
    assertEquals(0, ended.code(), ended.output());
    String json = ended.output().lines().filter(line -> line.startsWith("{")).findFirst().get();
    Map<String, JsonNode> times = new HashMap<>();
    new ObjectMapper()
        .readTree(json)
        .get("times")
        .forEach(line -> times.put(line.get("name").asText(), line));
    for (String name : new String[] {"step", "train", "norm", "update"}) {
      assertTrue(times.get(name).get("real_ms").asDouble() > 0, name);
      assertTrue(times.get(name).get("simulated_ms").asDouble() > 0, name);
    }
    assertTrue(times.containsKey("train, stage 0, recompute"), times.keySet().toString());
    double parts =
        times.get("train").get("real_ms").asDouble()
            + times.get("norm").get("real_ms").asDouble()
            + times.get("update").get("real_ms").asDouble();
    assertEquals(parts, times.get("step").get("real_ms").asDouble(), 1e-6 * parts);
  }
}
