package dev.weft.runtime.run;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.weft.core.cluster.UserException;
import dev.weft.runtime.checkpoint.CheckpointStore;
import dev.weft.runtime.storage.Disk;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The folder of one run:
 *
 * <pre>
 * config.yaml      what was asked for, with all defaults filled in
 * metrics.jsonl    one line a logged step
 * summary.json     how it ended
 * checkpoints/     step-00000100/ and so on
 * trace/           what devices did when in some of the latest steps
 * </pre>
 *
 * <p>Who trains holds a lock on it until it is closed, or its process ends; readers need none.
 */
public final class RunDirectory implements AutoCloseable {
  private static final String CONFIG = "config.yaml";
  private static final String METRICS = "metrics.jsonl";
  private static final String SUMMARY = "summary.json";
  private static final String CHECKPOINTS = "checkpoints";
  private static final String TRACE = "trace";
  private static final String LOCK = ".lock";
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}");
  private static final ObjectMapper YAML =
      YAMLMapper.builder(
              YAMLFactory.builder()
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
                  .enable(YAMLGenerator.Feature.MINIMIZE_QUOTES)
                  .enable(YAMLGenerator.Feature.ALWAYS_QUOTE_NUMBERS_AS_STRINGS)
                  .build())
          .build();
  private static final ObjectMapper JSON = new JsonMapper();

  private final Path path;
  private final @Nullable FileChannel lock;

  private RunDirectory(Path path, @Nullable FileChannel lock) {
    this.path = path;
    this.lock = lock;
  }

  /**
   * Starts a run: makes its folder, locks it, and writes its configuration.
   *
   * @param runs the folder of all runs, made where it is missing
   * @param config what was asked for, with all defaults filled in
   * @throws UserException if the name is not a plain one, a run of this name is there already, or
   *     the folder cannot be written
   */
  public static RunDirectory create(Path runs, String name, JsonNode config) {
    Path path = runs.resolve(requireName(name));
    try {
      Files.createDirectories(runs);
      boolean made = makeDirectory(path);
      RunDirectory run = new RunDirectory(path, lock(path));
      try {
        // A folder without a configuration is what a start that failed early has left.
        if (!made && Files.exists(path.resolve(CONFIG))) {
          throw new UserException(
              "'%s' holds a run already: go on with it by --resume %s, or choose another --name"
                  .formatted(path, path));
        }
        run.writeConfig(config);
        Disk.local().syncDirectory(runs);
        return run;
      } catch (IOException | RuntimeException failure) {
        run.close();
        throw failure;
      }
    } catch (IOException failure) {
      throw unusable(path, "write", failure);
    }
  }

  /** The given name, or the first of {@code name-2}, {@code name-3}, ... that no run has yet. */
  public static String unusedName(Path runs, String name) {
    String unused = requireName(name);
    for (int number = 2; Files.exists(runs.resolve(unused)); number++) {
      unused = name + "-" + number;
    }
    return unused;
  }

  /**
   * Opens a run to go on with it, and locks it.
   *
   * @throws UserException if there is no run, or another process trains it
   */
  public static RunDirectory resume(Path path) {
    requireRun(path);
    try {
      return new RunDirectory(path, lock(path));
    } catch (IOException failure) {
      throw unusable(path, "lock", failure);
    }
  }

  /**
   * Opens a run to read from, even while it is trained.
   *
   * @throws UserException if there is no run
   */
  public static RunDirectory read(Path path) {
    requireRun(path);
    return new RunDirectory(path, null);
  }

  public Path path() {
    return path;
  }

  /** The name of the run: the last part of its path. */
  public String name() {
    return path.toAbsolutePath().normalize().getFileName().toString();
  }

  /**
   * The configuration that it was started with, or last went on with.
   *
   * @throws UserException if the file is missing or not YAML
   */
  public JsonNode config() {
    Path file = path.resolve(CONFIG);
    try {
      return YAML.readTree(Files.readAllBytes(file));
    } catch (JacksonException malformed) {
      throw new UserException(
          "'%s' is not YAML: %s"
              .formatted(
                  file,
                  malformed
                      .getOriginalMessage()
                      .lines()
                      .map(String::strip)
                      .collect(Collectors.joining(" "))),
          malformed);
    } catch (IOException failure) {
      throw unusable(file, "read", failure);
    }
  }

  /**
   * Writes the configuration that the run goes on with, over the one it was started with.
   *
   * @throws UserException if it cannot be written
   * @throws IllegalStateException if this was opened for reading only
   */
  public void writeConfig(JsonNode config) {
    requireLock();
    Path file = path.resolve(CONFIG);
    try {
      Disk.local().replace(file, YAML.writeValueAsBytes(config));
    } catch (IOException failure) {
      throw unusable(file, "write", failure);
    }
  }

  /** Checkpoints to load from. */
  public CheckpointStore checkpoints() {
    return CheckpointStore.forReading(path.resolve(CHECKPOINTS));
  }

  /**
   * Checkpoints to save to, of which the newest ones are kept.
   *
   * @throws IllegalStateException if this was opened for reading only
   */
  public CheckpointStore checkpoints(int keep) {
    requireLock();
    return CheckpointStore.forTraining(path.resolve(CHECKPOINTS), keep);
  }

  /**
   * The log of metrics, cut off after the given step.
   *
   * @param step steps that were done; 0 starts anew
   * @throws IllegalStateException if this was opened for reading only
   */
  public MetricsLog metrics(long step) {
    requireLock();
    return MetricsLog.open(path.resolve(METRICS), step);
  }

  /** Where the trace of the latest steps lies, if there is one. */
  public Path trace() {
    return path.resolve(TRACE);
  }

  /**
   * Writes how the run ended, over what may be there.
   *
   * @throws UserException if it cannot be written
   * @throws IllegalStateException if this was opened for reading only
   */
  public void writeSummary(ObjectNode summary) {
    requireLock();
    Path file = path.resolve(SUMMARY);
    try {
      String json = JSON.writerWithDefaultPrettyPrinter().writeValueAsString(summary) + "\n";
      Disk.local().replace(file, json.getBytes(StandardCharsets.UTF_8));
    } catch (IOException failure) {
      throw unusable(file, "write", failure);
    }
  }

  /** Gives up the lock. */
  @Override
  public void close() {
    if (lock != null) {
      try {
        lock.close();
      } catch (IOException failure) {
        throw unusable(path, "unlock", failure);
      }
    }
  }

  private static String requireName(String name) {
    if (!NAME.matcher(name).matches()) {
      throw new UserException(
          "'%s' cannot be the name of a run: expected letters, digits, '.', '_' and '-', at most 100, the first a letter or digit"
              .formatted(name));
    }
    return name;
  }

  private static void requireRun(Path path) {
    if (!Files.exists(path.resolve(CONFIG))) {
      throw new UserException(
          Files.isDirectory(path)
              ? "'%s' is not the folder of a run: it has no %s".formatted(path, CONFIG)
              : "there is no run '%s'".formatted(path));
    }
  }

  private static boolean makeDirectory(Path path) throws IOException {
    try {
      Files.createDirectory(path);
      return true;
    } catch (FileAlreadyExistsException there) {
      return false;
    }
  }

  /** Takes the lock; the system gives it back when the channel is closed or the process ends. */
  private static FileChannel lock(Path path) throws IOException {
    Path file = path.resolve(LOCK);
    FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
    try {
      FileLock taken;
      try {
        taken = channel.tryLock();
      } catch (OverlappingFileLockException withinThisProcess) {
        taken = null;
      }
      if (taken == null) {
        throw new UserException(
            "another process trains '%s'%s: wait for it, or choose another --name"
                .formatted(path, holder(channel)));
      }
      byte[] process = (ProcessHandle.current().pid() + "\n").getBytes(StandardCharsets.UTF_8);
      channel.truncate(0).write(ByteBuffer.wrap(process), 0);
      return channel;
    } catch (IOException | RuntimeException failure) {
      channel.close();
      throw failure;
    }
  }

  private static String holder(FileChannel channel) throws IOException {
    ByteBuffer text = ByteBuffer.allocate(20);
    channel.read(text, 0);
    String process = new String(text.array(), 0, text.position(), StandardCharsets.UTF_8).strip();
    return process.matches("\\d+") ? " (process " + process + ")" : "";
  }

  private void requireLock() {
    if (lock == null) {
      throw new IllegalStateException("'" + path + "' was opened for reading only");
    }
  }

  private static UserException unusable(Path path, String action, IOException failure) {
    return new UserException(
        "cannot %s '%s': %s: %s"
            .formatted(action, path, failure.getClass().getSimpleName(), failure.getMessage()),
        failure);
  }
}
