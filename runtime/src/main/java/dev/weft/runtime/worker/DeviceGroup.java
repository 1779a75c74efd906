package dev.weft.runtime.worker;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.engine.collective.Collectives;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Compiled;
import dev.weft.engine.program.Executable;
import dev.weft.engine.program.Lowered;
import dev.weft.engine.program.Place;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.runtime.collective.CollectiveCounters;
import dev.weft.runtime.collective.CollectiveTimes;
import dev.weft.runtime.collective.EmbeddedTransport;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.function.IntFunction;

/**
 * The devices of a mesh, embedded in this process: each computes on a thread of its own, all run
 * the same programs together.
 */
public final class DeviceGroup implements AutoCloseable {
  /** How long a device waits for another in a collective: longer than any step takes. */
  public static final Duration PATIENCE = Duration.ofMinutes(10);

  private final Mesh mesh;
  private final EmbeddedTransport transport;
  private final List<Device> devices = new ArrayList<>();

  private DeviceGroup(Mesh mesh, Duration patience) {
    this.mesh = mesh;
    this.transport = new EmbeddedTransport(mesh, patience);
  }

  /** Opens devices that compute each op by the kernel for its types. */
  public static DeviceGroup open(DeviceKind kind, Mesh mesh, int threads, Bytes budget) {
    return open(kind, mesh, threads, budget, Routes.always(Route.DIRECT), PATIENCE);
  }

  /**
   * Opens one device for each place of a mesh.
   *
   * @param threads cores that each device's kernels use
   * @param budget the most bytes that each may hold
   * @param routes chooses how ops are computed, alike on all devices
   * @param patience how long a device waits for another in a collective
   * @throws dev.weft.core.cluster.UserException if there is no such device
   */
  public static DeviceGroup open(
      DeviceKind kind, Mesh mesh, int threads, Bytes budget, Routes routes, Duration patience) {
    var group = new DeviceGroup(mesh, patience);
    try {
      for (int device = 0; device < mesh.size(); device++) {
        String name = "weft-" + kind.text() + "-" + device;
        group.devices.add(Device.open(kind, name, threads, budget, routes));
      }
      return group;
    } catch (RuntimeException e) {
      group.close();
      throw e;
    }
  }

  public Mesh mesh() {
    return mesh;
  }

  public int size() {
    return devices.size();
  }

  public Device device(int number) {
    return devices.get(number);
  }

  /** What collectives cost a device so far. */
  public CollectiveCounters counters(int device) {
    return transport.counters(device);
  }

  /** From now on writes down when collectives are done. */
  void startClocks() {
    transport.startClocks();
  }

  /** When the collectives of each device were done since {@link #startClocks}; no more of them. */
  List<CollectiveTimes> stopClocks() {
    return transport.stopClocks();
  }

  /**
   * Makes a graph ready to run on all devices.
   *
   * @param graph the one program of all devices, collectives explicit
   * @param bound per device a buffer for every input of the graph
   */
  public GroupProgram load(Graph graph, List<Map<Value, DeviceBuffer>> bound) {
    return load(
        Lowered.of(graph, devices.getFirst().kind()), bound, Collections.nCopies(size(), Map.of()));
  }

  /**
   * Makes a graph ready to run on all devices, its results in given memory, its reductions in
   * buckets.
   *
   * @param graph the one program of all devices, collectives explicit
   * @param bound per device a buffer for every input of the graph
   * @param given per device buffers for outputs by their index; the others get memory of their own
   * @param bucket the most bytes of a bucket, see {@link dev.weft.core.collective.Bucketing}
   */
  public GroupProgram load(
      Graph graph,
      List<Map<Value, DeviceBuffer>> bound,
      List<Map<Integer, DeviceBuffer>> given,
      Bytes bucket) {
    return load(Compilation.common(graph, devices.getFirst().kind(), size(), bucket), bound, given);
  }

  private GroupProgram load(
      Lowered common,
      List<Map<Value, DeviceBuffer>> bound,
      List<Map<Integer, DeviceBuffer>> given) {
    var compiled = new ArrayList<Compiled>();
    for (int number = 0; number < devices.size(); number++) {
      Device device = devices.get(number);
      compiled.add(
          Compiled.of(
              device.kind(),
              device.threads(),
              device.routes(),
              Compilation.own(common, mesh, number),
              bound.get(number),
              given.get(number)));
    }
    return load(compiled, Collections.nCopies(size(), Map.of()));
  }

  /**
   * Makes a compiled graph ready to run on all devices.
   *
   * @param compiled what each device runs
   * @param memory per device, for each place that it was compiled for, the buffer that it is; a
   *     buffer stands for itself
   */
  public GroupProgram load(
      List<Compiled> compiled, List<? extends Map<Place, DeviceBuffer>> memory) {
    List<Collectives> ends = transport.program();
    var executables = new ArrayList<Executable>();
    try {
      for (int number = 0; number < devices.size(); number++) {
        executables.add(
            devices.get(number).load(compiled.get(number), memory.get(number), ends.get(number)));
      }
    } catch (RuntimeException e) {
      executables.forEach(Executable::close);
      throw e;
    }
    return new GroupProgram(this, executables);
  }

  /**
   * Has all devices do something at the same time, each on its thread, and waits for all. On the
   * thread of a device that is alone it is done at once.
   *
   * @param task told the device's number
   * @return what each did, by number
   * @throws dev.weft.runtime.collective.DeviceFailedException if one fails, naming the first that
   *     did; the group is of no more use then
   */
  public <T> List<T> onAll(IntFunction<T> task) {
    transport.check();
    if (devices.size() == 1 && devices.getFirst().thread().isCurrent()) {
      return List.of(alone(task));
    }
    var waiting = new ArrayList<Future<T>>();
    for (int number = 0; number < devices.size(); number++) {
      int device = number;
      waiting.add(devices.get(number).thread().submit(() -> guarded(task, device)));
    }
    return Waiting.forAll(waiting, transport);
  }

  private <T> T guarded(IntFunction<T> task, int device) {
    try {
      return task.apply(device);
    } catch (Throwable e) {
      transport.failed(device, e);
      throw e;
    }
  }

  /** Does something on the only device, whose thread this is. */
  private <T> T alone(IntFunction<T> task) {
    try {
      return guarded(task, 0);
    } catch (Throwable e) {
      // It says which device failed.
      transport.check();
      throw e;
    }
  }

  /** Tells all devices of the group that something else has failed that they work with. */
  void failed(String what, Throwable cause) {
    transport.failed(what, cause);
  }

  /** Waits until no other device's thread reads or writes a tensor of a program that has ended. */
  void quiesce() {
    transport.quiesce();
  }

  /** Closes the devices with the programs and buffers on them that are still open. */
  @Override
  public void close() {
    transport.close();
    devices.forEach(Device::close);
  }
}
