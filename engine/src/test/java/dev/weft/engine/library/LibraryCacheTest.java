package dev.weft.engine.library;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class LibraryCacheTest {
  private static final List<String> RESOURCES = List.of("natives/libone.so", "natives/libtwo.so");

  @TempDir Path directory;

  @Test
  void unpacksOnceAndFindsItAgain() throws IOException {
    LibraryBundle bundle = bundle("jar", 1);
    LibraryCache cache = new LibraryCache(directory.resolve("cache"));
    LibraryLocation first = cache.unpack(bundle);
    assertArrayEquals(content(1, 0), Files.readAllBytes(first.files().get(0)));
    assertArrayEquals(content(1, 1), Files.readAllBytes(first.files().get(1)));
    Object key = fileKey(first.files().get(0));
    assertEquals(first, cache.unpack(bundle));
    assertEquals(key, fileKey(first.files().get(0)));
  }

  @Test
  void anotherBundleHasAnotherFolder() throws IOException {
    LibraryCache cache = new LibraryCache(directory.resolve("cache"));
    assertNotEquals(
        cache.unpack(bundle("one", 1)).directory(), cache.unpack(bundle("two", 2)).directory());
  }

  @Test
  void bundlesThatNobodyUsesAreDeleted() throws IOException {
    LibraryCache cache = new LibraryCache(directory.resolve("cache"));
    Path old = cache.unpack(bundle("old", 1)).directory();
    Path lately = cache.unpack(bundle("lately", 2)).directory();
    for (Path bundle : List.of(old, lately)) {
      Path lock = bundle.resolveSibling(bundle.getFileName() + ".lock");
      Files.setLastModifiedTime(lock, FileTime.from(Instant.now().minus(Duration.ofDays(40))));
    }
    cache.unpack(bundle("lately", 2));
    Path fresh = cache.unpack(bundle("fresh", 3)).directory();
    assertTrue(Files.notExists(old), "unused for longer than a month");
    assertTrue(Files.exists(lately), "used just now");
    assertTrue(Files.exists(fresh));
    cache.unpack(bundle("old", 1));
    assertTrue(Files.exists(old), "it comes back when it is wanted");
  }

  @Test
  void unpacksAgainWhatIsCutShortOrChanged() throws IOException {
    LibraryBundle bundle = bundle("jar", 1);
    LibraryCache cache = new LibraryCache(directory.resolve("cache"));
    Path file = cache.unpack(bundle).files().get(1);

    Files.write(file, new byte[3]);
    cache.unpack(bundle);
    assertArrayEquals(content(1, 1), Files.readAllBytes(file));

    byte[] flipped = content(1, 1);
    flipped[100] ^= 1;
    Files.write(file, flipped);
    Files.setLastModifiedTime(file, FileTime.fromMillis(1));
    cache.unpack(bundle);
    assertArrayEquals(content(1, 1), Files.readAllBytes(file));

    Files.delete(file);
    cache.unpack(bundle);
    assertArrayEquals(content(1, 1), Files.readAllBytes(file));

    Files.writeString(file.resolveSibling("manifest"), "nonsense");
    cache.unpack(bundle);
    assertTrue(Files.readString(file.resolveSibling("manifest")).contains("libtwo.so"));
    try (Stream<Path> left = Files.list(file.getParent().getParent())) {
      assertEquals(
          List.of(bundle.identity(), bundle.identity() + ".lock"),
          left.map(path -> path.getFileName().toString()).sorted().toList());
    }
  }

  @Test
  void keepsFilesOfWhichOnlyTheTimeChanged() throws IOException {
    LibraryBundle bundle = bundle("jar", 1);
    LibraryCache cache = new LibraryCache(directory.resolve("cache"));
    Path file = cache.unpack(bundle).files().get(0);
    Object key = fileKey(file);
    Files.setLastModifiedTime(file, FileTime.fromMillis(1_000_000));
    cache.unpack(bundle);
    assertEquals(key, fileKey(file));
  }

  @Test
  void threadsMayStartAtOnce() throws Exception {
    LibraryBundle bundle = bundle("jar", 1);
    List<Callable<LibraryLocation>> starts = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      starts.add(() -> new LibraryCache(directory.resolve("cache")).unpack(bundle));
    }
    try (var threads = Executors.newFixedThreadPool(4)) {
      for (Future<LibraryLocation> start : threads.invokeAll(starts)) {
        assertArrayEquals(content(1, 1), Files.readAllBytes(start.get().files().get(1)));
      }
    }
  }

  @Test
  void processesMayStartAtOnce() throws Exception {
    jar("jar", 1);
    List<Process> processes = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      processes.add(
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-Xshare:auto",
                  "-XX:TieredStopAtLevel=1",
                  "-cp",
                  System.getProperty("java.class.path"),
                  LibraryCacheTest.class.getName(),
                  directory.toString())
              .redirectErrorStream(true)
              .start());
    }
    for (Process process : processes) {
      String output = new String(process.getInputStream().readAllBytes());
      assertTrue(process.waitFor(60, TimeUnit.SECONDS), output);
      assertEquals(0, process.exitValue(), output);
    }
  }

  /** One of the two processes. */
  public static void main(String[] arguments) throws IOException {
    Path directory = Path.of(arguments[0]);
    LibraryBundle bundle = bundleOf(directory.resolve("jar"));
    LibraryLocation location = new LibraryCache(directory.resolve("cache")).unpack(bundle);
    for (int i = 0; i < 2; i++) {
      assertArrayEquals(content(1, i), Files.readAllBytes(location.files().get(i)));
    }
  }

  private LibraryBundle bundle(String name, int seed) throws IOException {
    return bundleOf(jar(name, seed));
  }

  private static LibraryBundle bundleOf(Path jar) throws IOException {
    // The loader stays open: the bundle's addresses read through it.
    return LibraryBundle.of(
        new URLClassLoader(new URL[] {jar.toUri().toURL()}, null),
        RESOURCES.stream().map(LibraryBundle.Resource::of).toList());
  }

  private Path jar(String name, int seed) throws IOException {
    Path jar = directory.resolve(name);
    try (ZipOutputStream output = new ZipOutputStream(Files.newOutputStream(jar))) {
      for (int i = 0; i < RESOURCES.size(); i++) {
        output.putNextEntry(new ZipEntry(RESOURCES.get(i)));
        output.write(content(seed, i));
        output.closeEntry();
      }
    }
    return jar;
  }

  private static byte[] content(int seed, int index) {
    byte[] content = new byte[300_000 + index];
    for (int i = 0; i < content.length; i++) {
      content[i] = (byte) (seed * 31 + index * 7 + (i * i >>> 5));
    }
    return content;
  }

  private static Object fileKey(Path file) throws IOException {
    return Files.getAttribute(file, "unix:ino");
  }
}
