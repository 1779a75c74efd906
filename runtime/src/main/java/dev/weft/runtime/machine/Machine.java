package dev.weft.runtime.machine;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Matmul;
import dev.weft.core.op.Sum;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Executable;
import dev.weft.engine.program.Noise;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/** What this machine is and does. */
public final class Machine {
  private static final int SIZE = 1024;
  private static final int READ_ELEMENTS = 1 << 26;
  private static final int RUNS = 8;

  private Machine() {}

  /** The memory that processes may use here: the machine's, or a container's share of it. */
  public static Bytes memory() {
    Bytes machine = kibibytes(Path.of("/proc/meminfo"), "MemTotal:");
    return controlGroupLimit().filter(limit -> limit.compareTo(machine) < 0).orElse(machine);
  }

  /** What the system knows of the first processor, by its own names: {@code model name}, ... */
  public static Map<String, String> processor() {
    try {
      var facts = new HashMap<String, String>();
      for (String line : Files.readAllLines(Path.of("/proc/cpuinfo"))) {
        int colon = line.indexOf(':');
        if (colon < 0) {
          break;
        }
        facts.put(line.substring(0, colon).strip(), line.substring(colon + 1).strip());
      }
      return facts;
    } catch (IOException e) {
      throw new IllegalStateException("cannot read /proc/cpuinfo", e);
    }
  }

  /** Who gets huge pages: {@code always}, {@code madvise}, {@code never}, or {@code unknown}. */
  public static String hugePages() {
    try {
      String choices = Files.readString(Path.of("/sys/kernel/mm/transparent_hugepage/enabled"));
      return choices.substring(choices.indexOf('[') + 1, choices.indexOf(']'));
    } catch (IOException | IndexOutOfBoundsException unknown) {
      return "unknown";
    }
  }

  /** Memory that could be used now without swapping, no more than there is. */
  public static Bytes memoryAvailable() {
    Bytes available = kibibytes(Path.of("/proc/meminfo"), "MemAvailable:");
    Bytes memory = memory();
    return available.compareTo(memory) < 0 ? available : memory;
  }

  /** The least limit of the control groups (version 2) that this process is in. */
  private static Optional<Bytes> controlGroupLimit() {
    Path root = Path.of("/sys/fs/cgroup");
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/cgroup"))) {
        if (!line.startsWith("0::/")) {
          continue;
        }
        Optional<Bytes> least = Optional.empty();
        Path group = root.resolve(line.substring("0::/".length()));
        for (; group != null && group.startsWith(root); group = group.getParent()) {
          Path file = group.resolve("memory.max");
          String limit = Files.isReadable(file) ? Files.readString(file).strip() : "max";
          if (!limit.equals("max")) {
            Bytes bytes = Bytes.of(Long.parseLong(limit));
            least = Optional.of(least.filter(b -> b.compareTo(bytes) < 0).orElse(bytes));
          }
        }
        return least;
      }
      return Optional.empty();
    } catch (IOException | NumberFormatException unknown) {
      return Optional.empty();
    }
  }

  /** Memory of this process that is resident now. */
  public static Bytes resident() {
    return kibibytes(Path.of("/proc/self/status"), "VmRSS:");
  }

  /** The most memory of this process that ever was resident. */
  public static Bytes residentPeak() {
    return kibibytes(Path.of("/proc/self/status"), "VmHWM:");
  }

  private static Bytes kibibytes(Path file, String key) {
    try {
      String text = Files.readString(file);
      int line = text.indexOf(key);
      if (line < 0) {
        return Bytes.ZERO;
      }
      int end = text.indexOf("kB", line);
      return Bytes.of(Long.parseLong(text.substring(line + key.length(), end).strip()) * 1024);
    } catch (IOException e) {
      throw new IllegalStateException("cannot read " + file, e);
    }
  }

  /** Page faults of this process so far that needed no disk. */
  public static long pageFaults() {
    try {
      String stat = Files.readString(Path.of("/proc/self/stat"));
      return Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[7]);
    } catch (IOException e) {
      throw new IllegalStateException("cannot read /proc/self/stat", e);
    }
  }

  /**
   * Chooses routes by measurement, once per machine.
   *
   * @param recorded of a run before, which go first
   */
  public static Routes routes(Map<String, Route> recorded) {
    return Routes.measured(Caches.directory().resolve("routes"), recorded);
  }

  /** Routes as far as they have been measured on this machine: to foretell, not to compute. */
  public static Routes rememberedRoutes() {
    return Routes.remembered(Caches.directory().resolve("routes"));
  }

  /** The best rate at which memory too large for any cache is read, in bytes per second. */
  public static double readBandwidth(int threads) {
    TensorType type = TensorType.of(DataType.F32, READ_ELEMENTS);
    var builder = new Builder("bandwidth");
    Value x = builder.input("x", type, Graph.Kind.DATA);
    builder.output(builder.add(new Sum(List.of(0)), List.of(x)).getFirst());
    try (Device device = Device.open(DeviceKind.CPU, threads, memory());
        DeviceBuffer buffer = device.allocate("x", type)) {
      Noise.fill(buffer);
      try (Executable executable = device.load(builder.build(), Map.of(x, buffer))) {
        long best = Long.MAX_VALUE;
        for (int run = 0; run < RUNS; run++) {
          long start = System.nanoTime();
          executable.run();
          best = Math.min(best, System.nanoTime() - start);
        }
        return type.bytes() / (best * 1e-9);
      }
    }
  }

  /** The best rate of a square matrix product, in floating point operations per second. */
  public static double matmulPeak(DataType dtype, int threads) {
    try (Device device = Device.open(DeviceKind.CPU, threads, memory(), routes(Map.of()))) {
      TensorType type = TensorType.of(dtype, SIZE, SIZE);
      var builder = new Builder("peak");
      Value a = builder.input("a", type, Graph.Kind.DATA);
      Value b = builder.input("b", type, Graph.Kind.DATA);
      builder.output(builder.add(new Matmul(), List.of(a, b)).getFirst());
      try (DeviceBuffer left = device.allocate("a", type);
          DeviceBuffer right = device.allocate("b", type);
          Executable executable = device.load(builder.build(), Map.of(a, left, b, right))) {
        Noise.fill(left);
        Noise.fill(right);
        double best = 0;
        for (int run = 0; run < RUNS; run++) {
          long start = System.nanoTime();
          executable.run();
          best = Math.max(best, executable.flops() / ((System.nanoTime() - start) * 1e-9));
        }
        return best;
      }
    }
  }

  /** Measures how fast memory is copied by several threads at once. */
  public static final class Copier implements AutoCloseable {
    private final Arena arena = Arena.ofShared();
    private final MemorySegment source;
    private final MemorySegment target;
    private final int threads;

    /**
     * Sets memory aside.
     *
     * @param bytes how many are copied, which should be far more than the caches hold
     */
    public Copier(int threads, Bytes bytes) {
      this.threads = threads;
      this.source = arena.allocate(bytes.count(), 4096).fill((byte) 1);
      this.target = arena.allocate(bytes.count(), 4096).fill((byte) 2);
    }

    /** Copies once. Bytes read and bytes written count. */
    public double bytesPerSecond() {
      long part = source.byteSize() / threads;
      long start = System.nanoTime();
      IntStream.range(0, threads)
          .mapToObj(
              i ->
                  Thread.ofPlatform()
                      .start(
                          () ->
                              target
                                  .asSlice(i * part, part)
                                  .copyFrom(source.asSlice(i * part, part))))
          .toList()
          .forEach(Machine::join);
      return 2.0 * part * threads / ((System.nanoTime() - start) * 1e-9);
    }

    @Override
    public void close() {
      arena.close();
    }
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while memory is copied", e);
    }
  }
}
