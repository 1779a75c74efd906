package dev.weft.runtime.storage;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/**
 * The operations on a file system that decide what is left after a crash. They stand behind an
 * interface so that a test can stop the world after each one of them.
 */
public interface Disk {
  /** The file system of this machine. */
  static Disk local() {
    return LocalDisk.INSTANCE;
  }

  /** A file being written. Closing it does not make it durable; {@link #sync} does. */
  interface Output extends Closeable {
    /** Writes all that remains in the buffer after what was written before. */
    void write(ByteBuffer bytes) throws IOException;

    /** Returns when all that was written would survive a loss of power. */
    void sync() throws IOException;
  }

  /** Opens a new file for writing; fails where one is there already. */
  Output create(Path file) throws IOException;

  void createDirectory(Path directory) throws IOException;

  /** Renames in one step: others see the one or the other, never a mixture. */
  void move(Path from, Path to) throws IOException;

  /** Makes the creations, renames and deletions within a directory survive a loss of power. */
  void syncDirectory(Path directory) throws IOException;

  /** Deletes a file or an empty directory. */
  void delete(Path path) throws IOException;

  /** Deletes a directory with all that is in it; links are deleted, not followed. */
  default void deleteTree(Path directory) throws IOException {
    Files.walkFileTree(
        directory,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path visited, @Nullable IOException failure)
              throws IOException {
            if (failure != null) {
              throw failure;
            }
            delete(visited);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  /** What fills a file that is being written. */
  @FunctionalInterface
  interface Content {
    void writeTo(Output output) throws IOException;
  }

  /**
   * Writes a file whole or not at all: into a neighbour, synced, then renamed over the old one. A
   * failure leaves what was there before.
   */
  default void replace(Path file, Content content) throws IOException {
    Path neighbour =
        file.resolveSibling(
            "."
                + file.getFileName()
                + "."
                + Long.toHexString(ThreadLocalRandom.current().nextLong())
                + ".partial");
    try {
      try (Output output = create(neighbour)) {
        content.writeTo(output);
        output.sync();
      }
      move(neighbour, file);
    } catch (IOException | RuntimeException failure) {
      try {
        delete(neighbour);
      } catch (NoSuchFileException alreadyGone) {
        // It was never created, or the rename has already taken it away.
      } catch (IOException left) {
        failure.addSuppressed(left);
      }
      throw failure;
    }
    Path directory = file.toAbsolutePath().getParent();
    if (directory != null) {
      syncDirectory(directory);
    }
  }

  /** {@link #replace(Path, Content)} with bytes that are in memory already. */
  default void replace(Path file, byte[] content) throws IOException {
    replace(file, output -> output.write(ByteBuffer.wrap(content)));
  }
}
