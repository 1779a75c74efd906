package dev.weft.runtime.checkpoint;

import dev.weft.runtime.storage.Disk;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * A disk that fails from a given operation on. As a killed process it does nothing any more, not
 * even clean up; as a full disk it only refuses to write.
 */
final class FailingDisk implements Disk {
  /** How the disk fails. */
  enum Way {
    KILLED,
    FULL
  }

  private final Way way;
  private long left = Long.MAX_VALUE;
  private boolean failed;

  FailingDisk(Way way) {
    this.way = way;
  }

  /** Lets this many operations through from now on. */
  void failAfter(long operations) {
    left = operations;
  }

  boolean failed() {
    return failed;
  }

  private boolean out() {
    failed |= left-- <= 0;
    return failed;
  }

  private void operate() throws IOException {
    if (out() && way == Way.KILLED) {
      throw new IOException("killed");
    }
  }

  @Override
  public Output create(Path file) throws IOException {
    operate();
    Output output = Disk.local().create(file);
    return new Output() {
      @Override
      public void write(ByteBuffer bytes) throws IOException {
        if (out()) {
          // Half of it still went through.
          output.write(bytes.slice(bytes.position(), bytes.remaining() / 2));
          throw new IOException("No space left on device");
        }
        output.write(bytes);
      }

      @Override
      public void sync() throws IOException {
        operate();
      }

      @Override
      public void close() throws IOException {
        output.close();
      }
    };
  }

  @Override
  public void createDirectory(Path directory) throws IOException {
    operate();
    Disk.local().createDirectory(directory);
  }

  @Override
  public void move(Path from, Path to) throws IOException {
    operate();
    Disk.local().move(from, to);
  }

  @Override
  public void syncDirectory(Path directory) throws IOException {
    operate();
  }

  @Override
  public void delete(Path path) throws IOException {
    operate();
    Disk.local().delete(path);
  }
}
