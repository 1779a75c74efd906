package dev.weft.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** The weft command, in a process and a working folder of its own where it must be killed. */
record WeftProcess(Process process, Path output) {
  private static final long SECONDS = 120;

  /** What a command that has ended came to; both streams of output together. */
  record Ended(int code, String output) {}

  static WeftProcess start(Path folder, String... arguments) throws IOException {
    return start(folder, command(arguments));
  }

  /** A process that may write no file longer than so many KiB, as if the disk were full. */
  static WeftProcess startWithSmallDisk(Path folder, int kibibytes, String... arguments)
      throws IOException {
    var limited =
        new ArrayList<>(List.of("bash", "-c", "ulimit -f " + kibibytes + "; exec \"$@\""));
    limited.add("bash");
    limited.addAll(command(arguments));
    return start(folder, limited);
  }

  /** A process that could not load libtorch if it tried. */
  static WeftProcess startWithoutLibrary(Path folder, String... arguments) throws IOException {
    var command = new ArrayList<>(List.of("env", "WEFT_LIBTORCH=" + folder.resolve("nothing")));
    command.addAll(command(arguments));
    return start(folder, command);
  }

  private static WeftProcess start(Path folder, List<String> command) throws IOException {
    Path output = Files.createTempFile(folder, "output", ".txt");
    return new WeftProcess(
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start(),
        output);
  }

  private static List<String> command(String... arguments) {
    var command =
        new ArrayList<>(
            List.of(
                // What starts in the background of a shell without jobs ignores interrupts.
                "env",
                "--default-signal=INT",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName()));
    command.addAll(List.of(arguments));
    return command;
  }

  /** Waits until the output has a text, or the process has ended. */
  WeftProcess await(String text) throws IOException, InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
    while (!text().contains(text) && process.isAlive() && System.nanoTime() < deadline) {
      Thread.sleep(5);
    }
    return this;
  }

  /** Waits until a file is there, or the process has ended. */
  WeftProcess await(Path file) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
    while (!Files.exists(file) && process.isAlive() && System.nanoTime() < deadline) {
      Thread.sleep(5);
    }
    return this;
  }

  /** What Ctrl-C sends. */
  WeftProcess interrupt() throws IOException, InterruptedException {
    new ProcessBuilder("kill", "-INT", Long.toString(process.pid())).start().waitFor();
    return this;
  }

  Ended end() throws IOException, InterruptedException {
    if (!process.waitFor(SECONDS, TimeUnit.SECONDS)) {
      process.destroyForcibly().waitFor();
      throw new AssertionError("it did not end: " + text());
    }
    return new Ended(process.exitValue(), text());
  }

  /** The command in this process and its folder, which is quicker. */
  static Ended runHere(Object... arguments) {
    PrintStream out = System.out;
    PrintStream err = System.err;
    var output = new ByteArrayOutputStream();
    try (var stream = new PrintStream(output, true, StandardCharsets.UTF_8)) {
      System.setOut(stream);
      System.setErr(stream);
      int code = Main.run(Stream.of(arguments).map(Object::toString).toArray(String[]::new));
      return new Ended(code, output.toString(StandardCharsets.UTF_8));
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
  }

  private String text() throws IOException {
    return Files.readString(output, StandardCharsets.UTF_8);
  }
}
