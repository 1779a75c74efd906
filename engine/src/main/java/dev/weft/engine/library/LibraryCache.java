package dev.weft.engine.library;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.UserException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Native libraries unpacked once per user and machine.
 *
 * <p>A bundle lies in a folder named by its identity, beside a manifest of sizes, times and SHA-256
 * sums. The folder appears by one rename, so that it is whole or absent; a lock file lets one
 * process unpack while others wait. A start compares sizes and times; where they differ it compares
 * sums, and unpacks again what is damaged. Who unpacks deletes bundles that nobody has used for a
 * month; the time of a lock file is that of the last use.
 */
final class LibraryCache {
  private static final String MANIFEST = "manifest";
  private static final String LOCK = ".lock";
  private static final Duration KEPT = Duration.ofDays(30);

  private final Path root;

  LibraryCache(Path root) {
    this.root = root;
  }

  /** The cache in {@code WEFT_CACHE}, else {@code XDG_CACHE_HOME}/weft, else ~/.cache/weft. */
  static LibraryCache of(Map<String, String> environment) {
    String chosen = environment.getOrDefault("WEFT_CACHE", "");
    if (!chosen.isBlank()) {
      return new LibraryCache(Path.of(chosen).toAbsolutePath());
    }
    String shared = environment.getOrDefault("XDG_CACHE_HOME", "");
    Path base =
        shared.isBlank()
            ? Path.of(System.getProperty("user.home"), ".cache")
            : Path.of(shared).toAbsolutePath();
    return new LibraryCache(base.resolve("weft"));
  }

  /**
   * The bundle as files, unpacked now if it was not already.
   *
   * @throws UserException if the files cannot be written, naming the folder and the mend
   */
  LibraryLocation unpack(LibraryBundle bundle) {
    Path parent = root.resolve("libtorch");
    Path directory = parent.resolve(bundle.identity());
    try {
      if (!isWhole(directory, bundle)) {
        Files.createDirectories(parent);
        try (FileChannel channel =
                FileChannel.open(
                    parent.resolve(bundle.identity() + LOCK),
                    StandardOpenOption.CREATE,
                    StandardOpenOption.WRITE);
            FileLock _ = lock(channel)) {
          if (!isWhole(directory, bundle) && !isRepaired(directory, bundle)) {
            write(parent, directory, bundle);
            deleteUnused(parent, bundle.identity());
          }
        }
      }
      touch(parent.resolve(bundle.identity() + LOCK));
    } catch (IOException e) {
      throw new UserException(
          "cannot unpack libtorch (%s) to %s: %s. Make room or set WEFT_CACHE to a folder that can be written."
              .formatted(Bytes.of(bundle.bytes()), directory, e),
          e);
    }
    List<Path> files =
        bundle.libraries().stream()
            .filter(LibraryBundle.Entry::loaded)
            .map(entry -> directory.resolve(entry.name()))
            .toList();
    return new LibraryLocation(directory, files, directory.toString());
  }

  /** The manifest's line for one file: sum, size in bytes, time in nanoseconds. */
  private record Line(String sum, long size, FileTime time, String name) {
    static List<Line> read(Path manifest) throws IOException {
      List<Line> lines = new ArrayList<>();
      for (String text : Files.readAllLines(manifest)) {
        String[] parts = text.split(" ", 4);
        if (parts.length != 4) {
          return List.of();
        }
        try {
          long nanos = Long.parseLong(parts[2]);
          lines.add(
              new Line(
                  parts[0],
                  Long.parseLong(parts[1]),
                  FileTime.from(nanos, java.util.concurrent.TimeUnit.NANOSECONDS),
                  parts[3]));
        } catch (NumberFormatException _) {
          return List.of();
        }
      }
      return lines;
    }

    String text() {
      return sum
          + " "
          + size
          + " "
          + time.to(java.util.concurrent.TimeUnit.NANOSECONDS)
          + " "
          + name;
    }
  }

  private static boolean isWhole(Path directory, LibraryBundle bundle) throws IOException {
    return lists(directory, bundle)
        && Line.read(directory.resolve(MANIFEST)).stream()
            .allMatch(
                line -> {
                  try {
                    Path file = directory.resolve(line.name());
                    return Files.size(file) == line.size()
                        && Files.getLastModifiedTime(file).equals(line.time());
                  } catch (IOException _) {
                    return false;
                  }
                });
  }

  private static boolean lists(Path directory, LibraryBundle bundle) throws IOException {
    Path manifest = directory.resolve(MANIFEST);
    return Files.isRegularFile(manifest)
        && Line.read(manifest).stream()
            .map(Line::name)
            .toList()
            .equals(bundle.libraries().stream().map(LibraryBundle.Entry::name).toList());
  }

  /** Whether only times had changed, as a copied home folder shows; writes the new ones down. */
  private static boolean isRepaired(Path directory, LibraryBundle bundle) throws IOException {
    if (!lists(directory, bundle)) {
      return false;
    }
    List<Line> lines = new ArrayList<>();
    for (Line line : Line.read(directory.resolve(MANIFEST))) {
      Path file = directory.resolve(line.name());
      if (!Files.isRegularFile(file) || Files.size(file) != line.size()) {
        return false;
      }
      MessageDigest digest = LibraryBundle.sha256();
      try (InputStream input = Files.newInputStream(file)) {
        byte[] buffer = new byte[1 << 16];
        for (int count; (count = input.read(buffer)) > 0; ) {
          digest.update(buffer, 0, count);
        }
      }
      if (!HexFormat.of().formatHex(digest.digest()).equals(line.sum())) {
        return false;
      }
      lines.add(new Line(line.sum(), line.size(), Files.getLastModifiedTime(file), line.name()));
    }
    Path next = directory.resolve(MANIFEST + ".new");
    Files.write(next, lines.stream().map(Line::text).toList());
    Files.move(next, directory.resolve(MANIFEST), StandardCopyOption.ATOMIC_MOVE);
    return true;
  }

  private static void write(Path parent, Path directory, LibraryBundle bundle) throws IOException {
    String prefix = bundle.identity() + ".part";
    // Only the holder of the lock writes here: what is left over is of a process that died.
    try (Stream<Path> entries = Files.list(parent)) {
      for (Path left :
          entries.filter(file -> file.getFileName().toString().startsWith(prefix)).toList()) {
        delete(left);
      }
    }
    Path part = Files.createDirectory(parent.resolve(prefix + ProcessHandle.current().pid()));
    List<String> lines = new ArrayList<>();
    for (LibraryBundle.Entry entry : bundle.libraries()) {
      Path file = part.resolve(entry.name());
      MessageDigest digest = LibraryBundle.sha256();
      try (InputStream input = LibraryBundle.open(entry);
          FileChannel output =
              FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        byte[] buffer = new byte[1 << 18];
        for (int count; (count = input.read(buffer)) > 0; ) {
          digest.update(buffer, 0, count);
          ByteBuffer bytes = ByteBuffer.wrap(buffer, 0, count);
          while (bytes.hasRemaining()) {
            output.write(bytes);
          }
        }
        output.force(true);
      }
      lines.add(
          new Line(
                  HexFormat.of().formatHex(digest.digest()),
                  Files.size(file),
                  Files.getLastModifiedTime(file),
                  entry.name())
              .text());
    }
    Files.write(part.resolve(MANIFEST), lines);
    if (Files.exists(directory)) {
      // A running process may have the damaged files mapped: they move aside, never change.
      Path aside = parent.resolve(prefix + "-damaged");
      Files.move(directory, aside, StandardCopyOption.ATOMIC_MOVE);
      Files.move(part, directory, StandardCopyOption.ATOMIC_MOVE);
      delete(aside);
    } else {
      Files.move(part, directory, StandardCopyOption.ATOMIC_MOVE);
    }
  }

  /** Notes the use of a bundle, where the cache can be written. */
  private static void touch(Path lock) {
    try {
      Files.setLastModifiedTime(lock, FileTime.from(Instant.now()));
    } catch (IOException readOnly) {
      // Then nobody deletes from it either.
      return;
    }
  }

  /**
   * Deletes other bundles that nobody has used for a month. A process that still runs on one keeps
   * its files, which the system holds until they are unmapped.
   */
  private static void deleteUnused(Path parent, String used) throws IOException {
    List<Path> locks;
    try (Stream<Path> entries = Files.list(parent)) {
      locks = entries.filter(file -> file.getFileName().toString().endsWith(LOCK)).toList();
    }
    for (Path lock : locks) {
      String name = lock.getFileName().toString();
      String identity = name.substring(0, name.length() - LOCK.length());
      if (identity.equals(used)
          || Files.getLastModifiedTime(lock).toInstant().isAfter(Instant.now().minus(KEPT))) {
        continue;
      }
      try (FileChannel channel = FileChannel.open(lock, StandardOpenOption.WRITE);
          FileLock taken = channel.tryLock()) {
        if (taken != null) {
          delete(parent.resolve(identity));
          Files.delete(lock);
        }
      } catch (OverlappingFileLockException _) {
        // Another thread of this process unpacks it: it is in use.
        continue;
      }
    }
  }

  private static FileLock lock(FileChannel channel) throws IOException {
    while (true) {
      try {
        return channel.lock();
      } catch (OverlappingFileLockException _) {
        // Another thread of this process holds it: the operating system's lock is per process.
        try {
          Thread.sleep(20);
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          throw new IOException("interrupted while waiting for another thread to unpack", e);
        }
      }
    }
  }

  private static void delete(Path tree) throws IOException {
    if (!Files.exists(tree)) {
      return;
    }
    try (Stream<Path> entries = Files.walk(tree)) {
      for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(entry);
      }
    }
  }
}
