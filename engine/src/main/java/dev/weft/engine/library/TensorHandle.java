package dev.weft.engine.library;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.buffer.Slab;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * The owner of one tensor handle of libtorch. It is closed once; anything after that throws here,
 * where libtorch would crash. One thread at a time.
 */
public final class TensorHandle implements TensorSource, AutoCloseable {
  private static final AtomicLong LIVE = new AtomicLong();

  private long address;

  // What the tensor looks into: held until the handle is gone.
  private final @Nullable MemorySegment memory;
  private final @Nullable Slab slab;

  private TensorHandle(long address, @Nullable MemorySegment memory, @Nullable Slab slab) {
    this.address = address;
    this.memory = memory;
    this.slab = slab;
    born();
  }

  /**
   * A tensor that looks into a slab on a CPU, which cannot be closed before it.
   *
   * @param offset bytes from the slab's beginning
   * @param strides elements between neighbours along each dim
   * @throws IllegalArgumentException if a stride is negative or the tensor reaches out of the slab
   */
  public static TensorHandle view(
      Slab slab, long offset, DataType dtype, long[] sizes, long[] strides) {
    checkInside(slab.bytes() - offset, dtype, sizes, strides);
    if (offset < 0) {
      throw new IllegalArgumentException("offset " + offset);
    }
    slab.hold();
    try {
      long address = blob(slab.address() + offset, dtype, sizes, strides, DeviceKind.CPU, 0);
      return new TensorHandle(address, null, slab);
    } catch (RuntimeException e) {
      slab.release();
      throw e;
    }
  }

  /** A dense row-major tensor that looks into a slab. */
  public static TensorHandle view(Slab slab, long offset, TensorType type) {
    return view(slab, offset, type.dtype(), type.shape().sizes(), type.shape().strides());
  }

  /**
   * A tensor that looks into native memory on a CPU. The memory's arena must stay open while the
   * tensor is used; one that is collected automatically does.
   *
   * @throws IllegalArgumentException if the memory is not native, a stride is negative, or the
   *     tensor reaches out of it
   */
  public static TensorHandle view(
      MemorySegment memory, DataType dtype, long[] sizes, long[] strides) {
    if (!memory.isNative()) {
      throw new IllegalArgumentException("a tensor cannot look into memory of the Java heap");
    }
    checkInside(memory.byteSize(), dtype, sizes, strides);
    return new TensorHandle(
        blob(memory.address(), dtype, sizes, strides, DeviceKind.CPU, 0), memory, null);
  }

  /**
   * A tensor that looks into memory of any kind of device, which must outlive it. Nothing can be
   * checked here but the strides.
   *
   * @param device the number of the device among those of its kind
   * @throws IllegalArgumentException if a stride is negative
   */
  public static TensorHandle view(
      long address, DataType dtype, long[] sizes, long[] strides, DeviceKind kind, int device) {
    checkInside(Long.MAX_VALUE, dtype, sizes, strides);
    return new TensorHandle(blob(address, dtype, sizes, strides, kind, device), null, null);
  }

  @Override
  public long address() {
    if (address == 0) {
      throw new IllegalStateException("tensor used after it was closed");
    }
    return address;
  }

  /**
   * Deletes the handle, and the tensor if this was its last.
   *
   * @throws IllegalStateException if it was closed before
   */
  @Override
  public void close() {
    long handle = address();
    address = 0;
    Tensors.delete(handle);
    gone();
  }

  private void gone() {
    died();
    if (slab != null) {
      slab.release();
    }
  }

  public boolean isOpen() {
    return address != 0;
  }

  /** Where the first element stands. */
  public long dataAddress() {
    return Tensors.dataAddress(address());
  }

  /**
   * The element type and sizes.
   *
   * @throws IllegalStateException if the elements are of a type that Weft does not have
   */
  public TensorType type() {
    int code = Tensors.dtypeCode(address());
    return new TensorType(
        Torch.instance()
            .dataType(code)
            .orElseThrow(() -> new IllegalStateException("unknown element type " + code)),
        Shape.of(Tensors.sizes(address())));
  }

  public long[] strides() {
    return Tensors.strides(address());
  }

  @Override
  public String toString() {
    return address == 0 ? "TensorHandle[spent]" : "TensorHandle[" + Tensors.describe(address) + "]";
  }

  /** Handles of this process, also those in slots, that are not closed. */
  public static long live() {
    return LIVE.get();
  }

  static void born() {
    LIVE.incrementAndGet();
  }

  static void died() {
    LIVE.decrementAndGet();
  }

  private static void checkInside(long bytes, DataType dtype, long[] sizes, long[] strides) {
    if (sizes.length != strides.length) {
      throw new IllegalArgumentException(
          "sizes " + Arrays.toString(sizes) + " and strides " + Arrays.toString(strides));
    }
    long last = 0;
    boolean empty = false;
    for (int dim = 0; dim < sizes.length; dim++) {
      if (sizes[dim] < 0 || strides[dim] < 0) {
        throw new IllegalArgumentException(
            "negative size or stride: sizes "
                + Arrays.toString(sizes)
                + ", strides "
                + Arrays.toString(strides));
      }
      empty |= sizes[dim] == 0;
      last = Math.addExact(last, Math.multiplyExact(Math.max(0, sizes[dim] - 1), strides[dim]));
    }
    if (!empty && Math.multiplyExact(last + 1, (long) dtype.bytes()) > bytes) {
      throw new IllegalArgumentException(
          "%s%s with strides %s does not fit into %d bytes"
              .formatted(dtype, Arrays.toString(sizes), Arrays.toString(strides), bytes));
    }
  }

  private static long blob(
      long address, DataType dtype, long[] sizes, long[] strides, DeviceKind kind, int device) {
    Torch torch = Torch.instance();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(ValueLayout.JAVA_LONG);
      torch.check(
          (int)
              torch
                  .functions
                  .tensorFromBlob()
                  .invokeExact(
                      address,
                      (long) sizes.length,
                      arena.allocateFrom(ValueLayout.JAVA_LONG, sizes).address(),
                      arena.allocateFrom(ValueLayout.JAVA_LONG, strides).address(),
                      0L,
                      torch.code(dtype),
                      torch.code(kind),
                      device,
                      cell.address()),
          "aoti_torch_create_tensor_from_blob",
          dtype + Arrays.toString(sizes));
      return cell.get(ValueLayout.JAVA_LONG, 0);
    } catch (Throwable e) {
      throw Torch.wrap(e);
    }
  }
}
