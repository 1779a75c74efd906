package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.DeviceProfile;
import dev.weft.core.cluster.Link;
import dev.weft.core.overlap.Level;
import dev.weft.core.simulate.Simulator;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.PipelineStep;
import dev.weft.nn.step.SubPipelining;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The level of halves that is chosen by price. */
final class HalvesTest {
  private static Cluster cluster(double bytesPerSecond, boolean overlaps) {
    var device = new DeviceProfile(Bytes.of(1L << 34), Map.of("f32", 4e12), 1e12, 1e-6, Map.of());
    var link = new Link(1e-6, bytesPerSecond);
    return new Cluster("four", 1, 4, device, link, link, overlaps);
  }

  private static TrainConfig config(int stages, String recompute, int batch) {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("layers", 4).put("hidden", 256).put("heads", 4).put("sequence", 64);
    tree.put("vocabulary", 128).put("batch", batch).put("micro-batches", 2);
    tree.put("stages", stages).put("mesh", "model=2").put("recompute", recompute);
    return TrainConfig.DEFAULT.with(tree.put("sub-pipeline", "auto"), "the test");
  }

  private static PipelineStep step(TrainConfig config, PipelinePlan plan) {
    Session.Spec spec = Session.spec(config);
    return PipelineStep.of(
        spec.model(), spec.data(), spec.parameterType(), spec.optimizer(), spec.clip(), plan);
  }

  /** Whole models and pieces: no level takes less than the one that is chosen. */
  @ParameterizedTest
  @CsvSource({"1, none", "2, full"})
  void theFastestLevelIsChosen(int stages, String recompute) {
    TrainConfig config = config(stages, recompute, 16);
    PipelinePlan plan = config.pipelinePlan(cluster(5e9, true));
    PipelineStep chosen = step(config, plan);
    assertTrue(chosen.halves() != Level.OFF, () -> chosen.remarks().toString());
    assertTrue(
        chosen.remarks().stream()
            .anyMatch(r -> r.startsWith("sub-pipeline auto is " + chosen.halves().ordinal())),
        () -> chosen.remarks().toString());
    double least = Simulator.simulate(chosen.train(), plan.costs()).makespan();
    for (Level level : Level.values()) {
      PipelineStep other = step(config, plan.withHalves(SubPipelining.at(level)));
      double seconds = Simulator.simulate(other.train(), plan.costs()).makespan();
      assertTrue(least <= seconds, level + " takes " + seconds + ", not " + least);
      assertTrue(level != Level.OFF || least <= 0.98 * seconds);
    }
  }

  private static void stays(TrainConfig config, Cluster cluster, String why) {
    PipelineStep step = step(config, config.pipelinePlan(cluster));
    assertEquals(Level.OFF, step.halves());
    assertTrue(
        step.remarks().stream().anyMatch(r -> r.startsWith("sub-pipeline auto is 0: " + why)),
        () -> step.remarks().toString());
  }

  @Test
  void whatDoesNotPayIsNotDone() {
    TrainConfig config = config(2, "none", 16);
    stays(config, cluster(1e15, true), "no level would save 2 %");
    stays(config, cluster(5e9, false), "devices of four do themselves what is sent");
    stays(config(2, "none", 2), cluster(5e9, true), "a device has no two rows");
  }
}
