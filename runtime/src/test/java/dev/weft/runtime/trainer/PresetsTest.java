package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Trace;
import dev.weft.core.trace.Traced;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class PresetsTest {
  private static long parameters(String name) {
    TrainConfig config = TrainConfig.defaultsOf(name);
    var model = Models.load(config.model(), "");
    TensorType type = TensorType.of(DataType.I64, 1, config.sequence());
    Traced traced =
        Trace.trace(
            name,
            DataType.F32,
            true,
            new java.util.TreeMap<>(java.util.Map.of("tokens", type, "targets", type)),
            (scope, batch) -> {
              Tensor tokens = Objects.requireNonNull(batch.get("tokens"));
              Tensor targets = Objects.requireNonNull(batch.get("targets"));
              var loss = model.loss(scope, config.modelConfig(), tokens, targets);
              return List.of(loss.sum(), loss.weight());
            });
    return traced.parameterCount();
  }

  /** L(12 HH + 13 H) + VH + SH + 2H for the GPTs, L(4 HH + 2 HF) + 2 VH for the Transformers. */
  @ParameterizedTest
  @CsvSource({
    "gpt-350m, 355.8",
    "gpt-760m, 760.2",
    "gpt-1.3b, 1315.6",
    "gpt-2.6b, 2651.3",
    "gpt-6.7b, 6658.1",
    "gpt-15b, 15370.1",
    "gpt-39b, 39087.7",
    "transformer-3, 282.1",
    "transformer-13, 785.4",
    "transformer-48, 2547.0"
  })
  void sizesAreThePublishedOnes(String name, double millions) {
    assertEquals(millions, Math.round(parameters(name) / 1e5) / 10.0);
  }

  @ParameterizedTest
  @CsvSource({
    "moe-380m, 380",
    "moe-690m, 690",
    "moe-1.3b, 1300",
    "moe-2.4b, 2400",
    "moe-10b, 10000",
    "moe-27b, 27000",
    "moe-70b, 70000",
    "gpt-3-175b, 175000"
  })
  void sizesAreWhatTheNamesSay(String name, double millions) {
    assertEquals(millions, parameters(name) / 1e6, 0.05 * millions);
  }

  @Test
  void everyFileIsAConfiguration() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("../presets/models"))) {
      List<Path> all = files.toList();
      assertTrue(all.size() > 10);
      for (Path file : all) {
        String name = file.getFileName().toString().replace(".json", "");
        assertEquals(name, TrainConfig.defaultsOf(name).name());
      }
    }
  }
}
