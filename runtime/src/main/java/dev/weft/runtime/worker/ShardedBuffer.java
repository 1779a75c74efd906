package dev.weft.runtime.worker;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.runtime.collective.Box;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A tensor that the devices of a group hold in the parts that a layout gives them. Devices must not
 * compute on it while it is written or read here.
 */
public final class ShardedBuffer implements AutoCloseable {
  private final Mesh mesh;
  private final TensorType type;
  private final Layout layout;
  private final List<DeviceBuffer> parts;
  private final boolean owned;

  private ShardedBuffer(
      Mesh mesh, TensorType type, Layout layout, List<DeviceBuffer> parts, boolean owned) {
    this.mesh = mesh;
    this.type = type;
    this.layout = layout;
    this.parts = List.copyOf(parts);
    this.owned = owned;
  }

  /**
   * Memory for a tensor, all zeros.
   *
   * @param type of the whole tensor
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if a device's budget has not so many
   *     bytes
   */
  public static ShardedBuffer allocate(
      DeviceGroup group, String name, TensorType type, Layout layout) {
    TensorType local = type.tile(layout, group.mesh());
    var parts = new ArrayList<DeviceBuffer>();
    try {
      for (int device = 0; device < group.size(); device++) {
        parts.add(group.device(device).allocate(name, local));
      }
    } catch (RuntimeException e) {
      parts.forEach(DeviceBuffer::close);
      throw e;
    }
    return new ShardedBuffer(group.mesh(), type, layout, parts, true);
  }

  /** A program's output, which stays the program's. */
  public static ShardedBuffer of(
      DeviceGroup group, GroupProgram program, int output, TensorType type, Layout layout) {
    var parts = new ArrayList<DeviceBuffer>();
    for (int device = 0; device < group.size(); device++) {
      parts.add(program.output(device, output));
    }
    return new ShardedBuffer(group.mesh(), type, layout, parts, false);
  }

  /** The same memory under another layout that has parts of the same sizes. */
  ShardedBuffer as(Layout other) {
    return new ShardedBuffer(mesh, type, other, parts, false);
  }

  /** The type of the whole tensor. */
  public TensorType type() {
    return type;
  }

  public Layout layout() {
    return layout;
  }

  /** The part of one device. */
  public DeviceBuffer on(int device) {
    return parts.get(device);
  }

  /** Where a device's part lies in the whole tensor. */
  private Box box(int device) {
    int rank = type.rank();
    long[] start = new long[rank];
    long[] sizes = new long[rank];
    for (int dim = 0; dim < rank; dim++) {
      List<MeshAxis> axes = mesh.select(layout.axes(dim));
      Tiles tiles = Tiles.of(type.size(dim), axes);
      int tile = mesh.tile(device, axes);
      start[dim] = tiles.start(tile);
      sizes[dim] = tiles.length(tile);
    }
    Shape local = parts.get(device).type().shape();
    return Box.of(type.shape(), start, local, new long[rank], sizes, type.dtype().bytes());
  }

  private void requireNotPartial(String what) {
    if (layout.isPartial()) {
      throw new IllegalStateException(parts.getFirst() + " is partial, " + layout + ": " + what);
    }
  }

  /** Gives every device its part of a whole tensor, row-major. What lies behind it stays. */
  public void write(MemorySegment whole) {
    requireNotPartial("it cannot be written as a whole");
    for (int device = 0; device < parts.size(); device++) {
      MemorySegment part = parts.get(device).segment();
      Box box = box(device);
      box.forEach(0, box.bytes(), (from, to, n) -> MemorySegment.copy(whole, from, part, to, n));
    }
  }

  /** Puts the whole tensor together, row-major; of replicas it takes the first. */
  public void read(MemorySegment whole) {
    requireNotPartial("it must be folded before it is read");
    List<String> split = layout.splitAxes();
    for (int device = 0; device < parts.size(); device++) {
      int at = device;
      boolean first =
          mesh.axes().stream()
              .allMatch(a -> split.contains(a.name()) || mesh.coordinate(at, a.name()) == 0);
      if (first) {
        MemorySegment part = parts.get(device).segment();
        Box box = box(device);
        box.forEach(0, box.bytes(), (from, to, n) -> MemorySegment.copy(part, to, whole, from, n));
      }
    }
  }

  /** The whole tensor, row-major: the memory itself where one device has it all, else a copy. */
  public MemorySegment whole() {
    if (parts.size() == 1) {
      return parts.getFirst().segment();
    }
    MemorySegment copy = Arena.ofAuto().allocate(type.bytes(), 64);
    read(copy);
    return copy;
  }

  /** Gives the memory back, where it is not a program's. */
  @Override
  public void close() {
    if (owned) {
      parts.forEach(DeviceBuffer::close);
    }
  }
}
