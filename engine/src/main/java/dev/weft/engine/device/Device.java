package dev.weft.engine.device;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.engine.buffer.DeviceMemory;
import dev.weft.engine.buffer.Slab;
import dev.weft.engine.collective.Collectives;
import dev.weft.engine.library.Torch;
import dev.weft.engine.program.Compiled;
import dev.weft.engine.program.Executable;
import dev.weft.engine.program.Lowered;
import dev.weft.engine.program.Place;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A device that runs graphs: its thread, its memory, and a scratch slab that all its programs
 * share, since one runs at a time.
 */
public final class Device implements AutoCloseable {
  private final DeviceKind kind;
  private final int threads;
  private final Routes routes;
  private final DeviceMemory memory;
  private final DeviceThread thread;
  private final List<Executable> executables = new ArrayList<>();
  private final Set<DeviceBuffer> buffers = ConcurrentHashMap.newKeySet();
  private @Nullable Slab scratch;
  private @Nullable Crew crew;
  private final String name;

  private Device(DeviceKind kind, String name, int threads, Bytes budget, Routes routes) {
    this.kind = kind;
    this.name = name;
    this.routes = routes;
    this.threads = threads;
    this.memory = new DeviceMemory(budget);
    this.thread = DeviceThread.start(name, threads);
    // The matrix library has one number of threads for the whole process.
    Torch.instance().setBlasThreads(threads);
  }

  /** Opens a device that computes each op by the kernel for its types. */
  public static Device open(DeviceKind kind, int threads, Bytes budget) {
    return open(kind, threads, budget, Routes.always(Route.DIRECT));
  }

  /**
   * Opens a device.
   *
   * @param threads cores that its kernels use
   * @param budget the most bytes that it may hold
   * @param routes chooses how ops are computed
   * @throws UserException if the library is missing or too old, or has no such device
   */
  public static Device open(DeviceKind kind, int threads, Bytes budget, Routes routes) {
    return open(kind, "weft-" + kind.text(), threads, budget, routes);
  }

  /**
   * Opens one of several devices, all with as many threads.
   *
   * @param name of its thread
   * @param threads cores that its kernels use
   * @param budget the most bytes that it may hold
   * @param routes chooses how ops are computed, for all of them
   * @throws UserException if the library is missing or too old, or has no such device
   */
  public static Device open(
      DeviceKind kind, String name, int threads, Bytes budget, Routes routes) {
    if (kind != DeviceKind.CPU) {
      throw new UserException("devices of kind " + kind.text() + " are not supported yet; use cpu");
    }
    return new Device(kind, name, threads, budget, routes);
  }

  public DeviceKind kind() {
    return kind;
  }

  public int threads() {
    return threads;
  }

  public Routes routes() {
    return routes;
  }

  public DeviceMemory memory() {
    return memory;
  }

  /** Threads beside the one that computes; started when a program first needs them, on it. */
  public Crew crew() {
    if (crew == null) {
      crew = new Crew(name, threads - 1);
    }
    return crew;
  }

  /** The thread that computes. */
  public DeviceThread thread() {
    return thread;
  }

  /**
   * Memory for one tensor, all zeros.
   *
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if the budget has not so many bytes
   */
  public DeviceBuffer allocate(String name, TensorType type) {
    return allocate(name, type, Strided.dense(type.shape()));
  }

  /**
   * Memory for one tensor, all zeros, for inputs of programs only.
   *
   * @param layout in which order the elements lie, without gaps
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if the budget has not so many bytes
   */
  public DeviceBuffer allocate(String name, TensorType type, Strided layout) {
    if (!layout.shape().equals(type.shape())
        || !(layout.isContiguous() || layout.equals(layout.packed()))) {
      throw new IllegalArgumentException(name + ": " + type + " cannot lie as " + layout);
    }
    var buffer = new DeviceBuffer(this, name, type, layout);
    buffers.add(buffer);
    return buffer;
  }

  /**
   * Makes a graph ready to run.
   *
   * @param bound a buffer for every input; an output with a donated input ends in that one's buffer
   */
  public Executable load(Graph graph, Map<Value, DeviceBuffer> bound) {
    return load(Lowered.of(graph, kind, routes::loops), bound, Collectives.NONE);
  }

  /**
   * Makes a graph ready to run together with other devices.
   *
   * @param lowered this device's graph
   * @param bound a buffer for every input; an output with a donated input ends in that one's buffer
   * @param collectives how its collectives are done
   */
  public Executable load(Lowered lowered, Map<Value, DeviceBuffer> bound, Collectives collectives) {
    return load(lowered, bound, Map.of(), collectives);
  }

  /**
   * Makes a graph ready to run, its results in given memory.
   *
   * @param lowered this device's graph
   * @param bound a buffer for every input; an output with a donated input ends in that one's buffer
   * @param given buffers for outputs by their index; the others get memory of their own
   * @param collectives how its collectives are done
   */
  public Executable load(
      Lowered lowered,
      Map<Value, DeviceBuffer> bound,
      Map<Integer, DeviceBuffer> given,
      Collectives collectives) {
    return load(Compiled.of(kind, threads, routes, lowered, bound, given), Map.of(), collectives);
  }

  /**
   * Makes a compiled graph ready to run.
   *
   * @param places for each place that it was compiled for the memory that it is; a buffer of this
   *     device stands for itself unless it is in there
   * @param collectives how its collectives are done
   */
  public Executable load(
      Compiled compiled, Map<? extends Place, DeviceBuffer> places, Collectives collectives) {
    var executable = new Executable(this, compiled, places, collectives);
    executables.add(executable);
    return executable;
  }

  /** Forgets a buffer that is being closed. */
  void forget(DeviceBuffer buffer) {
    buffers.remove(buffer);
  }

  /** Forgets an executable that is being closed. */
  public void forget(Executable executable) {
    executables.remove(executable);
  }

  /**
   * The scratch slab, of at least so many bytes. A larger one takes the place of the one before,
   * which no executable may look into any more.
   */
  public Slab scratch(long bytes, String name) {
    if (scratch == null || scratch.bytes() < bytes) {
      executables.forEach(Executable::unlink);
      if (scratch != null) {
        scratch.close();
        scratch = null;
      }
      long most = bytes;
      for (Executable executable : executables) {
        most = Math.max(most, executable.footprint().scratch());
      }
      scratch = Slab.map(memory, most, name);
    }
    return scratch;
  }

  /**
   * Makes the scratch slab large enough for all programs, and sees that there is room for what
   * their kernels allocate, so that what does not fit is told now and not when one first runs.
   *
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if the budget has not so many bytes
   */
  public void reserve() {
    executables.stream()
        .sorted(Comparator.comparingLong((Executable e) -> e.footprint().scratch()).reversed())
        .forEach(Executable::reserve);
  }

  /** Closes executables and buffers that are still open, the scratch memory and the thread. */
  @Override
  public void close() {
    List.copyOf(executables).forEach(Executable::close);
    List.copyOf(buffers).forEach(DeviceBuffer::close);
    if (scratch != null) {
      scratch.close();
    }
    thread.close();
    if (crew != null) {
      crew.close();
    }
  }
}
