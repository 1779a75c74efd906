package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;

/** A UTF-8 text file of the user's. */
public record TextFile(Path path) implements TextSource {
  @Override
  public String name() {
    return path.toString();
  }

  @Override
  public String fingerprint() {
    try {
      BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
      return "%s %s %d %s"
          .formatted(
              path.toRealPath(),
              attributes.fileKey(),
              attributes.size(),
              attributes.lastModifiedTime());
    } catch (IOException failure) {
      throw unreadable(failure);
    }
  }

  @Override
  public Content open() {
    try {
      if (Files.isDirectory(path)) {
        throw new UserException(
            "'" + path + "' is a directory: --data takes text files; name the files in it");
      }
      FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
      try {
        long size = channel.size();
        if (size == 0) {
          throw new UserException("text file '" + path + "' is empty: there is nothing to read");
        }
        return new Opened(channel, size);
      } catch (IOException | RuntimeException failure) {
        channel.close();
        throw failure;
      }
    } catch (IOException failure) {
      throw unreadable(failure);
    }
  }

  private UserException unreadable(IOException failure) {
    String why =
        switch (failure) {
          case NoSuchFileException missing ->
              "does not exist (looked for " + path.toAbsolutePath().normalize() + ")";
          case AccessDeniedException denied -> "may not be read by this user";
          default -> "cannot be read: " + failure.getMessage();
        };
    return new UserException("text file '" + path + "' " + why, failure);
  }

  private record Opened(FileChannel channel, long size) implements Content {
    @Override
    public void read(long position, ByteBuffer into) throws IOException {
      long from = position;
      while (into.hasRemaining()) {
        int count = channel.read(into, from);
        if (count < 0) {
          return;
        }
        from += count;
      }
    }

    @Override
    public void close() throws IOException {
      channel.close();
    }
  }
}
