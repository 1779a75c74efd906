package dev.weft.engine.device;

import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.buffer.Slab;
import dev.weft.engine.program.Place;
import java.lang.foreign.MemorySegment;

/**
 * Memory of a device for one tensor without gaps, for as long as its owner wants. Starts as zeros.
 */
public final class DeviceBuffer implements Place, AutoCloseable {
  private final Device device;
  private final String name;
  private final TensorType type;
  private final Strided layout;
  private final Slab slab;

  DeviceBuffer(Device device, String name, TensorType type, Strided layout) {
    this.device = device;
    this.name = name;
    this.type = type;
    this.layout = layout;
    this.slab = Slab.map(device.memory(), type.bytes(), name);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public TensorType type() {
    return type;
  }

  @Override
  public Strided layout() {
    return layout;
  }

  /** The tensor's bytes, little-endian, row-major unless its layout is another. */
  public MemorySegment segment() {
    return slab.segment().asSlice(0, type.bytes());
  }

  public long address() {
    return slab.address();
  }

  /**
   * Gives the memory back. Executables bound to it must be closed before.
   *
   * @throws IllegalStateException if it was closed before, or the device was
   */
  @Override
  public void close() {
    slab.close();
    device.forget(this);
  }

  @Override
  public String toString() {
    return name + ": " + type;
  }
}
