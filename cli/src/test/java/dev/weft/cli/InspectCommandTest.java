package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class InspectCommandTest {
  @TempDir Path directory;

  @Test
  void whatAModelCostsNeedsNoDevice() throws Exception {
    WeftProcess.Ended ended =
        WeftProcess.startWithoutLibrary(directory, "inspect", "cost", "--model", "gpt-39b").end();
    assertEquals(0, ended.code(), ended.output());
    assertTrue(ended.output().contains("39,087,652,864 parameters"), ended.output());
    ended = WeftProcess.startWithoutLibrary(directory, "inspect", "parameters").end();
    assertEquals(0, ended.code(), ended.output());
    assertTrue(ended.output().contains("h.1.qkv.weight"), ended.output());
  }

  /** However large: nothing is allocated, and no layer is traced twice. */
  @Test
  void everyPresetHasACost() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("../presets/models"))) {
      List<String> names =
          files.map(file -> file.getFileName().toString().replace(".json", "")).toList();
      for (String name : names) {
        WeftProcess.Ended ended = WeftProcess.runHere("inspect", "cost", "--model", name);
        assertEquals(0, ended.code(), ended.output());
        assertTrue(ended.output().contains(" parameters\npredicted peak memory"), ended.output());
      }
    }
  }
}
