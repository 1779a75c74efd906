package dev.weft.engine.program;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.library.Torch;
import dev.weft.engine.vector.Vectors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Chooses the {@link Route} of each op that has several: as recorded with a run, else as once
 * measured on this machine, else by measuring now. The choice is part of a run's numbers, so that
 * going on with it needs the same.
 */
public final class Routes {
  /** A route is timed once more until it has taken so long in all. */
  private static final long ENOUGH_NANOS = 20_000_000;

  private final Map<String, Route> recorded;
  private final @Nullable Path directory;
  private final SortedMap<String, Route> used = new TreeMap<>();
  private final @Nullable Route only;
  private final boolean measuring;
  private final boolean looping;

  private Routes(
      Map<String, Route> recorded,
      @Nullable Path directory,
      @Nullable Route only,
      boolean measuring,
      boolean looping) {
    this.recorded = Map.copyOf(recorded);
    this.directory = directory;
    this.only = only;
    this.measuring = measuring;
    this.looping = looping;
  }

  /** One route for all ops that have it. */
  public static Routes always(Route route) {
    return new Routes(Map.of(), null, route, false, false);
  }

  /**
   * Routes as far as they have been measured, to foretell and not to compute; any other op goes the
   * wide way, which takes more memory.
   *
   * @param directory where measurements are kept
   */
  public static Routes remembered(Path directory) {
    return new Routes(Map.of(), directory, null, false, false);
  }

  /**
   * Routes as measured.
   *
   * @param directory where measurements are kept
   * @param recorded routes by ops' keys that go before any measurement, from {@link #used}
   */
  public static Routes measured(Path directory, Map<String, Route> recorded) {
    return new Routes(recorded, directory, null, true, false);
  }

  /**
   * The same, but that one row times a matrix, and one query's attention to a cache, run in loops
   * of Weft's own where this Java has vectors. For decoding, not for training: a run goes on bit
   * for bit however Java was started.
   */
  public Routes withLoops() {
    return new Routes(recorded, directory, only, measuring, true);
  }

  /** Whether there are loops of Weft's own for a type; waits until Java has compiled them. */
  public boolean loops(DataType dtype) {
    return looping && Vectors.areFast(dtype);
  }

  /** Whether it measures what it does not know. */
  public boolean isMeasuring() {
    return measuring;
  }

  /** The choices made so far, by ops' keys. */
  public synchronized SortedMap<String, Route> used() {
    return new TreeMap<>(used);
  }

  synchronized Route choose(DeviceKind kind, int threads, Op op, List<TensorType> types) {
    if ((RowProduct.isOne(kind, op, types) || GeluRow.isOne(kind, op, types))
        && loops(types.getFirst().dtype())) {
      return Route.LOOP;
    }
    if (!Route.isChoice(kind, op, types)) {
      return Route.DIRECT;
    }
    if (only != null) {
      return only;
    }
    String key = op + " " + types;
    Route route = recorded.get(key);
    if (route == null) {
      route = used.get(key);
    }
    if (route == null) {
      route =
          kept(
              kind, threads, key, () -> measuring ? measure(kind, threads, op, types) : Route.WIDE);
    }
    used.put(key, route);
    return route;
  }

  @FunctionalInterface
  private interface Measurement {
    Route get();
  }

  /** Looks a choice up in the machine's file, or makes it and writes it there. */
  private Route kept(DeviceKind kind, int threads, String key, Measurement measurement) {
    if (directory == null) {
      return measurement.get();
    }
    Path file;
    try {
      file = directory.resolve(machine(kind, threads));
    } catch (UserException e) {
      if (measuring) {
        throw e;
      }
      // Where there is no library nothing has been measured.
      return measurement.get();
    }
    Map<String, Route> all = read(file);
    Route known = all.get(key);
    if (known != null) {
      return known;
    }
    Route route = measurement.get();
    if (!measuring) {
      return route;
    }
    // What another process wrote meanwhile is kept.
    SortedMap<String, Route> together = new TreeMap<>(read(file));
    together.put(key, route);
    try {
      Files.createDirectories(directory);
      Path part = Files.createTempFile(directory, "routes", ".part");
      Files.write(
          part, together.entrySet().stream().map(e -> e.getValue() + " " + e.getKey()).toList());
      Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      // Nothing is lost but time: the next start measures again.
      return route;
    }
    return route;
  }

  private static Map<String, Route> read(Path file) {
    var routes = new HashMap<String, Route>();
    if (!Files.isRegularFile(file)) {
      return routes;
    }
    try {
      for (String line : Files.readAllLines(file)) {
        for (Route route : Route.values()) {
          String start = route + " ";
          if (line.startsWith(start)) {
            routes.put(line.substring(start.length()), route);
          }
        }
      }
      return routes;
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + file, e);
    }
  }

  /** A name for all that a measurement depends on: processor, threads and libraries. */
  private static String machine(DeviceKind kind, int threads) {
    String processor = "";
    Path description = Path.of("/proc/cpuinfo");
    try (var lines = Files.lines(description)) {
      processor =
          lines
              .takeWhile(line -> !line.isBlank())
              .filter(line -> line.startsWith("model name") || line.startsWith("flags"))
              .reduce("", String::concat);
    } catch (IOException e) {
      // Then machines that share a folder share measurements too.
      processor = System.getProperty("os.arch", "");
    }
    Torch torch = Torch.instance();
    String all = processor + torch.version() + torch.blas() + threads;
    byte[] bytes = all.getBytes(StandardCharsets.UTF_8);
    var sum = new java.util.zip.CRC32C();
    sum.update(bytes, 0, bytes.length);
    return "%s-%08x".formatted(kind.text(), sum.getValue());
  }

  private static Route measure(DeviceKind kind, int threads, Op op, List<TensorType> types) {
    long direct = time(kind, threads, op, types, Route.DIRECT, Long.MAX_VALUE);
    long wide = time(kind, threads, op, types, Route.WIDE, direct);
    return wide < direct ? Route.WIDE : Route.DIRECT;
  }

  /** The fastest of some runs on noise; none but the first once it is slower than a limit. */
  private static long time(
      DeviceKind kind, int threads, Op op, List<TensorType> types, Route route, long limit) {
    var builder = new Builder("route");
    var inputs = new ArrayList<Value>();
    for (TensorType type : types) {
      inputs.add(builder.input("x" + inputs.size(), type, Graph.Kind.DATA));
    }
    builder.add(op, inputs).forEach(builder::output);
    try (Device device = Device.open(kind, threads, Bytes.of(Long.MAX_VALUE), always(route))) {
      var bound = new HashMap<Value, DeviceBuffer>();
      inputs.forEach(input -> bound.put(input, device.allocate(input.name(), input.type())));
      try (Executable executable = device.load(builder.build(), bound)) {
        bound.values().forEach(Noise::fill);
        long best = Long.MAX_VALUE;
        long total = 0;
        for (int run = 0; run < 2 || total < ENOUGH_NANOS; run++) {
          long start = System.nanoTime();
          executable.run();
          long nanoseconds = System.nanoTime() - start;
          total += nanoseconds;
          best = Math.min(best, nanoseconds);
          if (run == 0 && nanoseconds / 4 > limit) {
            break;
          }
        }
        return best;
      } finally {
        bound.values().forEach(DeviceBuffer::close);
      }
    }
  }
}
