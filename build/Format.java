import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.spi.ToolProvider;

/**
 * Checks or applies google-java-format, in a process of its own: the formatter parses with the
 * compiler of the JDK it runs on, and Maven may run on one too old for these sources.
 *
 * <p>Files found well formatted are remembered by size and time in a file under target, so that an
 * unchanged tree costs nothing.
 *
 * <pre>java -cp google-java-format.jar Format.java check|apply ROOT REMEMBERED</pre>
 */
final class Format {
  private static final Set<String> SKIPPED = Set.of("target", "runs", "node_modules");
  private static final int ROUNDS = 4;

  public static void main(String[] arguments) throws IOException {
    boolean apply = arguments[0].equals("apply");
    Path root = Path.of(arguments[1]);
    Path remembered = Path.of(arguments[2]);

    Set<String> known =
        Files.exists(remembered) ? Set.copyOf(Files.readAllLines(remembered)) : Set.of();
    List<Path> changed = new ArrayList<>();
    var stamps = new TreeMap<Path, String>();
    for (Path source : sources(root)) {
      String stamp = stamp(root, source);
      stamps.put(source, stamp);
      if (!known.contains(stamp)) {
        changed.add(source);
      }
    }
    if (changed.isEmpty()) {
      return;
    }

    Set<Path> unformatted = unformatted(changed);
    // What splits a string may want to place the parts anew.
    for (int round = 0; apply && !unformatted.isEmpty() && round < ROUNDS; round++) {
      format("--replace", unformatted);
      if (round == 0) {
        unformatted.forEach(source -> System.out.println("formatted " + root.relativize(source)));
      }
      for (Path source : unformatted) {
        stamps.put(source, stamp(root, source));
      }
      unformatted = unformatted(unformatted);
    }
    unformatted.forEach(stamps::remove);
    Files.createDirectories(remembered.getParent());
    Files.write(remembered, stamps.values());
    if (!unformatted.isEmpty()) {
      System.err.println("Not formatted; ./format mends it:");
      unformatted.forEach(source -> System.err.println("  " + root.relativize(source)));
      System.exit(1);
    }
  }

  private static Set<Path> unformatted(Collection<Path> sources) {
    var unformatted = new TreeSet<Path>();
    format("--dry-run", sources).lines().forEach(line -> unformatted.add(Path.of(line)));
    return unformatted;
  }

  private static String format(String option, Collection<Path> sources) {
    ToolProvider formatter = ToolProvider.findFirst("google-java-format").orElseThrow();
    var command = new ArrayList<>(List.of(option));
    sources.forEach(source -> command.add(source.toString()));
    var output = new StringWriter();
    var errors = new StringWriter();
    int code =
        formatter.run(
            new PrintWriter(output), new PrintWriter(errors), command.toArray(String[]::new));
    if (code != 0) {
      System.err.print(errors);
      System.exit(1);
    }
    return output.toString();
  }

  private static List<Path> sources(Path root) throws IOException {
    var sources = new ArrayList<Path>();
    var pending = new ArrayList<>(List.of(root));
    while (!pending.isEmpty()) {
      try (var entries = Files.newDirectoryStream(pending.removeLast())) {
        for (Path entry : entries) {
          String name = entry.getFileName().toString();
          if (Files.isDirectory(entry)) {
            if (!name.startsWith(".") && !SKIPPED.contains(name)) {
              pending.add(entry);
            }
          } else if (name.endsWith(".java")) {
            sources.add(entry);
          }
        }
      }
    }
    return sources;
  }

  private static String stamp(Path root, Path source) throws IOException {
    return "%s %d %d"
        .formatted(
            root.relativize(source),
            Files.size(source),
            Files.getLastModifiedTime(source).toMillis());
  }
}
