package dev.weft.runtime.worker;

import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Executable;
import java.util.List;
import java.util.Optional;

/** One program, ready to run on all devices of a group. */
public final class GroupProgram implements AutoCloseable {
  private final DeviceGroup group;
  private final List<Executable> executables;

  GroupProgram(DeviceGroup group, List<Executable> executables) {
    this.group = group;
    this.executables = List.copyOf(executables);
  }

  /**
   * Runs once on all devices, and waits for the end on all.
   *
   * @throws dev.weft.runtime.collective.DeviceFailedException if a device fails; all have stopped
   */
  public void run() {
    group.onAll(
        device -> {
          executables.get(device).run();
          return device;
        });
  }

  /** The program of one device. */
  public Executable on(int device) {
    return executables.get(device);
  }

  /** The buffer in which an output of a device is after a run. */
  public DeviceBuffer output(int device, int index) {
    return executables.get(device).output(index);
  }

  /** Floating point operations of one run on one device. */
  public double flops() {
    return executables.getFirst().flops();
  }

  /**
   * Runs once more, op by op, and names the first op of the first device whose result holds a
   * not-a-number or an infinity.
   */
  public Optional<String> firstNonFinite() {
    return group.onAll(device -> executables.get(device).firstNonFinite()).stream()
        .flatMap(Optional::stream)
        .findFirst();
  }

  /** Has all runs from now on time each call. */
  void startProfile() {
    executables.forEach(Executable::startProfile);
  }

  @Override
  public void close() {
    group.quiesce();
    executables.forEach(Executable::close);
  }
}
