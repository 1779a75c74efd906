package dev.weft.engine.library;

import dev.weft.core.cluster.UserException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A folder that holds a libtorch.
 *
 * @param directory where the files are
 * @param files the libraries to load, in this order
 * @param origin where it came from, for people: {@code WEFT_LIBTORCH=/opt/torch/lib}
 */
public record LibraryLocation(Path directory, List<Path> files, String origin) {
  /** The environment variable that selects another libtorch than the one Weft brings along. */
  public static final String VARIABLE = "WEFT_LIBTORCH";

  private static final List<String> REQUIRED = List.of("libc10.so", "libtorch_cpu.so");

  public LibraryLocation {
    files = List.copyOf(files);
  }

  /**
   * The libtorch that the environment asks for, or else the one from the class path, unpacked.
   *
   * @throws UserException if there is none, saying what was found and the mend
   */
  public static LibraryLocation locate(Map<String, String> environment) {
    String selected = environment.getOrDefault(VARIABLE, "");
    return selected.isBlank()
        ? LibraryCache.of(environment).unpack(LibraryBundle.onClassPath())
        : ofDirectory(Path.of(selected.strip()));
  }

  /** The libtorch of a folder like the {@code torch/lib} of a Python installation. */
  static LibraryLocation ofDirectory(Path directory) {
    String setting = VARIABLE + "=" + directory;
    if (!Files.isDirectory(directory)) {
      throw new UserException(
          "%s: no such directory. Expected the folder that holds libtorch_cpu.so, for example"
                  .formatted(setting)
              + " .../site-packages/torch/lib; or unset "
              + VARIABLE
              + " to use the libtorch that Weft brings along.");
    }
    for (String name : REQUIRED) {
      if (!Files.isRegularFile(directory.resolve(name))) {
        throw new UserException(
            "%s: the directory has no %s (found: %s). Expected the folder that holds"
                    .formatted(setting, name, contents(directory))
                + " libtorch_cpu.so, for example .../site-packages/torch/lib; or unset "
                + VARIABLE
                + " to use the libtorch that Weft brings along.");
      }
    }
    List<Path> files = new ArrayList<>();
    // Dependencies stand first; what a build links from elsewhere its own run path finds.
    for (String pattern :
        List.of("libgcc_s", "libquadmath", "libgfortran", "libgomp", "libiomp5")) {
      files.addAll(matching(directory, pattern));
    }
    files.addAll(matching(directory, "libopenblas"));
    REQUIRED.forEach(name -> files.add(directory.resolve(name)));
    for (String name : List.of("libc10_cuda.so", "libtorch_cuda.so")) {
      if (Files.isRegularFile(directory.resolve(name)) && Files.exists(Path.of("/dev/nvidiactl"))) {
        files.add(directory.resolve(name));
      }
    }
    return new LibraryLocation(directory, files, setting);
  }

  private static List<Path> matching(Path directory, String prefix) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries
          .filter(file -> file.getFileName().toString().matches(prefix + "(-[0-9a-f]+)?\\.so.*"))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UserException("cannot read " + directory + ": " + e.getMessage(), e);
    }
  }

  private static String contents(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      List<String> names =
          entries.limit(6).map(file -> file.getFileName().toString()).sorted().toList();
      return names.isEmpty()
          ? "nothing"
          : names.stream().limit(5).collect(Collectors.joining(", "))
              + (names.size() > 5 ? ", ..." : "");
    } catch (IOException e) {
      return "unreadable: " + e.getMessage();
    }
  }
}
