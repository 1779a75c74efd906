package dev.weft.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ExitCodeTest {
  @TempDir Path directory;

  @Test
  void helpEndsWell() {
    assertEquals(0, Main.run("--help"));
    assertEquals(0, Main.run("train", "--help"));
  }

  @Test
  void mistakesOfTheUserEndWith2() throws IOException {
    assertEquals(2, Main.run("trian"));
    assertEquals(2, Main.run("train", "--laers", "3"));
    assertEquals(2, Main.run("train", "--layers", "many"));
    assertEquals(2, Main.run("train", "--steps", "0"));
    assertEquals(2, Main.run("train", "--name", "../elsewhere"));
    assertEquals(2, Main.run("train", "--data", directory.resolve("missing").toString()));
    assertEquals(2, Main.run("train", "--resume", directory.toString()));
    assertEquals(2, Main.run("train", "--dtype", "f8"));
    assertEquals(2, Main.run("train", "--model", "com.acme.Missing"));
    assertEquals(2, Main.run("generate", "--run", directory.toString()));
    Path empty = directory.resolve("empty.txt");
    Files.createFile(empty);
    assertEquals(2, Main.run("train", "--data", empty.toString()));
    Path latin = directory.resolve("latin.txt");
    Files.write(latin, new byte[] {'a', (byte) 0xE9, 'b'});
    assertEquals(2, Main.run("train", "--data", latin.toString()));
  }

  @Test
  void tooLittleMemoryEndsWith2() {
    assertEquals(2, Main.run("bench", "step", "--device-memory", "1MiB", "--steps", "1"));
    assertEquals(2, Main.run("bench", "step", "--hidden", "2000000000", "--heads", "1"));
  }
}
