package dev.weft.runtime.run;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * One JSON object a line, one line a logged step, each handed to the system at once: who follows
 * the file sees whole lines as they come.
 */
public final class MetricsLog implements AutoCloseable {
  private static final JsonMapper JSON = new JsonMapper();

  private final Path file;
  private final FileChannel channel;

  private MetricsLog(Path file, FileChannel channel) {
    this.file = file;
    this.channel = channel;
  }

  /**
   * Opens a log to append to. Lines of steps that will come again, from the first whose {@code
   * step} is above the given one on, are cut off, and so is a last line without an end.
   *
   * @param step steps that were done; 0 starts anew
   * @throws UserException if the file cannot be written
   */
  static MetricsLog open(Path file, long step) {
    try {
      long length = Files.exists(file) ? lengthUpTo(file, step) : 0;
      FileChannel channel =
          FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      channel.truncate(length).position(length);
      return new MetricsLog(file, channel);
    } catch (IOException failure) {
      throw unwritable(file, failure);
    }
  }

  /**
   * Appends a line.
   *
   * @throws UserException if it cannot be written
   */
  public void append(ObjectNode metrics) {
    try {
      ByteBuffer line =
          ByteBuffer.wrap(
              (JSON.writeValueAsString(metrics) + "\n").getBytes(StandardCharsets.UTF_8));
      while (line.hasRemaining()) {
        channel.write(line);
      }
    } catch (IOException failure) {
      throw unwritable(file, failure);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException failure) {
      throw unwritable(file, failure);
    }
  }

  /** The bytes of all whole lines before the first of a later step. */
  private static long lengthUpTo(Path file, long step) throws IOException {
    long length = 0;
    try (InputStream stream = new BufferedInputStream(Files.newInputStream(file))) {
      ByteArrayOutputStream line = new ByteArrayOutputStream();
      for (int value = stream.read(); value >= 0; value = stream.read()) {
        line.write(value);
        if (value == '\n') {
          if (stepOf(line.toByteArray()) > step) {
            return length;
          }
          length += line.size();
          line.reset();
        }
      }
    }
    return length;
  }

  /** The step that a line is about; 0 for a line that says none, which is then kept. */
  private static long stepOf(byte[] line) throws IOException {
    try {
      JsonNode metrics = JSON.readTree(line);
      return metrics.path("step").asLong();
    } catch (JacksonException notOurs) {
      return 0;
    }
  }

  private static UserException unwritable(Path file, IOException failure) {
    return new UserException(
        "cannot write '%s': %s: %s"
            .formatted(file, failure.getClass().getSimpleName(), failure.getMessage()),
        failure);
  }
}
