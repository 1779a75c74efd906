package dev.weft.runtime.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.runtime.worker.DeviceGroup;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

final class PassesTest {
  private static final Bytes MEMORY = Bytes.of(64L << 20);

  @Test
  void largerProgramsTakeLongerAndSpeedsAreAroundTheirMean() {
    ProfiledOps.Kind products = ProfiledOps.ALL.getFirst();
    List<Graph> graphs =
        List.of(
            products.sample(DataType.F32, 16).graph(), products.sample(DataType.F32, 96).graph());
    try (DeviceGroup group = DeviceGroup.open(DeviceKind.CPU, Mesh.parse("device=2"), 1, MEMORY)) {
      Passes passes = Passes.of(group, graphs, 0.2);
      // Of 512 times as many operations.
      assertTrue(passes.means()[1] > 4 * passes.means()[0], Arrays.toString(passes.means()));
      double[][] speeds = passes.pace().speeds();
      assertEquals(2, speeds.length);
      assertEquals(
          1, Arrays.stream(speeds).flatMapToDouble(Arrays::stream).average().orElseThrow(), 1e-9);
    }
  }

  /** What is counted as an op's work is that of calls that the graph really makes. */
  @Test
  void samplesAreOfTheirKind() {
    for (ProfiledOps.Kind kind : ProfiledOps.ALL) {
      for (DataType dtype : ClusterProfiler.DTYPES) {
        double before = 0;
        for (long size : kind.sizes()) {
          ProfiledOps.Sample sample = kind.sample(dtype, size);
          assertTrue(sample.work() > before, kind + " " + size);
          boolean single = List.of("lookup", "random").contains(kind.name());
          assertEquals(single ? 1 : 3, sample.calls(), kind.name());
          before = sample.work();
        }
      }
    }
  }
}
