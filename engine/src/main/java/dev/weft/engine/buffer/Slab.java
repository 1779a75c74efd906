package dev.weft.engine.buffer;

import dev.weft.core.cluster.Bytes;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A region of memory straight from the operating system: its pages are zero and cost nothing until
 * first touched. It begins at a page, ends at a page, and is unmapped by {@link #close}.
 *
 * <p>Tensors that look into a slab hold it: it refuses to close before them.
 */
public final class Slab implements AutoCloseable {
  private static final int READ_WRITE = 3;
  private static final int PRIVATE_ANONYMOUS_NO_RESERVE = 0x2 | 0x20 | 0x4000;
  private static final int HUGE_PAGES = 14;
  private static final long HUGE_PAGE = 2 << 20;

  private static final AtomicLong LIVE_BYTES = new AtomicLong();
  private static final AtomicInteger LIVE = new AtomicInteger();

  private static final MethodHandle MAP =
      link(
          "mmap",
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG));
  private static final MethodHandle UNMAP =
      link(
          "munmap",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
  private static final MethodHandle ADVISE =
      link(
          "madvise",
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT));

  private final DeviceMemory memory;
  private final long bytes;
  private final long mapped;
  private final long mappedBytes;
  private final long address;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment segment;
  private final AtomicInteger holders = new AtomicInteger();

  private Slab(DeviceMemory memory, long bytes, long mapped, long mappedBytes, long address) {
    this.memory = memory;
    this.bytes = bytes;
    this.mapped = mapped;
    this.mappedBytes = mappedBytes;
    this.address = address;
    this.segment = MemorySegment.ofAddress(address).reinterpret(bytes, arena, null);
  }

  /**
   * Maps a region of at least {@code bytes} bytes and books it as planned memory.
   *
   * @param name what it is for, for messages
   * @throws OutOfDeviceMemoryException if the device's budget or the machine has not so many
   */
  public static Slab map(DeviceMemory memory, long bytes, String name) {
    if (bytes < 0) {
      throw new IllegalArgumentException(name + " of " + bytes + " bytes");
    }
    long rounded = Bytes.pages(bytes);
    memory.take(MemoryKind.PLANNED, rounded, name);
    // Room to begin at a huge page where the region is large enough to have any.
    long slack = rounded >= HUGE_PAGE ? HUGE_PAGE : 0;
    long mapped = -1;
    try {
      mapped =
          (long)
              MAP.invokeExact(
                  0L, rounded + slack, READ_WRITE, PRIVATE_ANONYMOUS_NO_RESERVE, -1, 0L);
      if (mapped == -1) {
        throw new OutOfDeviceMemoryException(name, Bytes.of(rounded), Bytes.ZERO, memory.budget());
      }
      long address = slack == 0 ? mapped : Math.ceilDiv(mapped, HUGE_PAGE) * HUGE_PAGE;
      if (slack > 0) {
        // Only advice: a kernel without huge pages answers with an error and maps small ones.
        int _ = (int) ADVISE.invokeExact(address, rounded, HUGE_PAGES);
      }
      Slab slab = new Slab(memory, rounded, mapped, rounded + slack, address);
      LIVE.incrementAndGet();
      LIVE_BYTES.addAndGet(rounded);
      return slab;
    } catch (Throwable e) {
      memory.give(MemoryKind.PLANNED, rounded);
      throw wrap(e);
    }
  }

  /** Bytes of the region, whole pages. */
  public long bytes() {
    return bytes;
  }

  /** Where the region begins, at a multiple of 4096. */
  public long address() {
    return address;
  }

  /** The region as Java sees it; access after {@link #close} throws. */
  public MemorySegment segment() {
    return segment;
  }

  /**
   * Notes one more that looks into the region.
   *
   * @throws IllegalStateException if it is closed
   */
  public void hold() {
    if (holders.getAndUpdate(count -> count < 0 ? count : count + 1) < 0) {
      throw new IllegalStateException("slab used after close");
    }
  }

  /** Notes one fewer that looks into the region. */
  public void release() {
    if (holders.getAndUpdate(count -> count > 0 ? count - 1 : count) <= 0) {
      throw new IllegalStateException("slab released more often than held");
    }
  }

  /**
   * Unmaps the region.
   *
   * @throws IllegalStateException if it was closed before, or tensors still look into it
   */
  @Override
  public void close() {
    int held = holders.compareAndExchange(0, -1);
    if (held != 0) {
      throw new IllegalStateException(
          held < 0 ? "slab closed twice" : "slab closed while " + held + " tensors look into it");
    }
    arena.close();
    try {
      int _ = (int) UNMAP.invokeExact(mapped, mappedBytes);
    } catch (Throwable e) {
      throw wrap(e);
    }
    memory.give(MemoryKind.PLANNED, bytes);
    LIVE.decrementAndGet();
    LIVE_BYTES.addAndGet(-bytes);
  }

  /** Slabs of this process that are not closed. */
  public static int live() {
    return LIVE.get();
  }

  /** Bytes of all slabs of this process that are not closed. */
  public static long liveBytes() {
    return LIVE_BYTES.get();
  }

  private static MethodHandle link(String name, FunctionDescriptor descriptor) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), descriptor);
  }

  private static RuntimeException wrap(Throwable failure) {
    return switch (failure) {
      case RuntimeException e -> e;
      case Error e -> throw e;
      default -> new IllegalStateException(failure);
    };
  }
}
