package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class TrainConfigTest {
  @TempDir Path directory;

  @Test
  void yamlReadsBackToTheSame() throws IOException {
    Path file = directory.resolve("config.yaml");
    Files.writeString(file, TrainConfig.DEFAULT.toYaml());
    assertEquals(TrainConfig.DEFAULT, TrainConfig.DEFAULT.withFile(file));
  }

  @Test
  void anUnknownKeySuggestsTheNearest() {
    assertTrue(failure("leraning-rate: 0.1").contains("learning-rate"));
  }

  @Test
  void anIllTypedValueNamesItsKey() {
    assertTrue(failure("layers: many").contains("layers"));
    assertTrue(failure("learning-rate: [1]").contains("learning-rate"));
    assertTrue(failure("layers: 1.5").contains("layers"));
    assertTrue(failure("layers:").contains("expected a whole number"));
    assertTrue(failure("steps: 99999999999").contains("up to 2147483647"));
    assertTrue(failure("learning-rate: \"0.1\"").contains("expected a number"));
    assertTrue(failure("name: 5").contains("like \"5\""));
    assertTrue(failure("data: a.txt").contains("a list of texts"));
    assertTrue(failure("data: [1]").contains("a list of texts"));
  }

  @Test
  void aKeyWrittenTwiceIsRefused() {
    assertTrue(failure("layers: 1\nlayers: 2").contains("layers"));
  }

  @Test
  void resolvedItDependsOnNoFolderAndNoMachine() {
    TrainConfig config =
        TrainConfig.DEFAULT.with(
            TrainConfig.DEFAULT.toTree().objectNode().put("classpath", "a.jar:b"), "the test");
    Path here = Path.of("").toAbsolutePath();
    assertEquals(here.resolve("a.jar") + ":" + here.resolve("b"), config.resolved().classpath());
    assertEquals(Runtime.getRuntime().availableProcessors(), config.resolved().threads());
    assertEquals(config.resolved(), config.resolved().resolved());
  }

  @Test
  void valuesOutOfRangeAreRefused() {
    assertTrue(failure("steps: 0").contains("steps"));
    assertTrue(failure("micro-batches: 0").contains("micro-batches"));
    assertTrue(failure("optimizer: adam").contains("adamw or sgd"));
    assertTrue(failure("threads: 100000").contains("at most 1024"));
    assertTrue(failure("clip: -1").contains("clip"));
    assertTrue(failure("clip: .nan").contains(".nan"));
  }

  @Test
  void memoryMayHaveAUnit() throws IOException {
    Path file = directory.resolve("memory.yaml");
    Files.writeString(file, "bucket-bytes: 1MiB\ndevice-memory: 5000000");
    TrainConfig config = TrainConfig.DEFAULT.withFile(file);
    assertEquals(1 << 20, config.bucket().count());
    assertEquals("5000000", config.deviceMemory());
    assertTrue(failure("bucket-bytes: 0").contains("bucket-bytes must be at least 1"));
    assertTrue(failure("bucket-bytes: few").contains("bucket-bytes: expected an amount"));
    assertTrue(failure("bucket-bytes: [1]").contains("an amount of memory"));
  }

  @Test
  void whatIsNoYamlIsSaid() {
    assertTrue(failure("a: b: c").contains("YAML"));
    assertTrue(failure("- 1").contains("keys and values"));
  }

  @Test
  void aCutNeedsStages() throws IOException {
    Path file = directory.resolve("cut.yaml");
    Files.writeString(file, "stages: 2\ncut: h.1");
    TrainConfig config = TrainConfig.DEFAULT.withFile(file);
    assertEquals(config, TrainConfig.DEFAULT.with(config.toTree(), "the test"));
    assertTrue(failure("cut: h.1").contains("add --stages 2"));
  }

  /** A run goes on with the cut that it began with, whatever is measured meanwhile. */
  @Test
  void theCutThatWasFoundIsWrittenDown() {
    TrainConfig config =
        TrainConfig.DEFAULT.with(
            TrainConfig.DEFAULT.toTree().objectNode().put("stages", 3).put("layers", 6),
            "the test");
    TrainConfig resolved = config.resolved();
    assertTrue(resolved.cut().matches("h\\.\\d,h\\.\\d"), resolved.cut());
    assertEquals(StagePieces.of(config).starts(), StagePieces.of(resolved).starts());
    assertEquals(resolved, resolved.resolved());
  }

  @Test
  void subPipelinesAreLevelsOrAuto() throws IOException {
    Path file = directory.resolve("halves.yaml");
    Files.writeString(file, "mesh: model=2\nsub-pipeline: 2\n");
    assertEquals("2", TrainConfig.DEFAULT.withFile(file).subPipeline());
    assertTrue(failure("mesh: model=2\nsub-pipeline: 4\n").contains("0, 1, 2, 3 or auto"));
    assertTrue(failure("sub-pipeline: auto\n").contains("--mesh model=2"));
    assertTrue(failure("mesh: model=1\nsub-pipeline: 1\n").contains("--mesh model=2"));
    assertTrue(failure("stages: 2\nsub-pipeline: 1\n").contains("--mesh model=2"));
  }

  @Test
  void collectivesAreLoopedOrNotOrAuto() throws IOException {
    Path file = directory.resolve("loops.yaml");
    Files.writeString(file, "mesh: model=2\ncollective-matmul: looped\n");
    TrainConfig config = TrainConfig.DEFAULT.withFile(file);
    assertEquals("looped", config.collectiveMatmul());
    Files.writeString(file, config.toYaml());
    assertEquals(config, TrainConfig.DEFAULT.withFile(file));
    assertTrue(
        failure("mesh: model=2\ncollective-matmul: often\n").contains("none, looped or auto"));
    assertTrue(failure("collective-matmul: auto\n").contains("--mesh model=2"));
  }

  private String failure(String yaml) {
    Path file = directory.resolve("bad.yaml");
    return assertThrows(
            UserException.class,
            () -> {
              Files.writeString(file, yaml);
              TrainConfig.DEFAULT.withFile(file);
            })
        .getMessage();
  }
}
