package dev.weft.engine.buffer;

import dev.weft.core.cluster.Bytes;
import java.util.Arrays;

/** The account of a device's bytes: exact at every moment, never above the budget. Thread-safe. */
public final class DeviceMemory {
  private final Bytes budget;
  private final long[] current = new long[MemoryKind.values().length];
  private long total;
  private long peak;

  /** An account that refuses to go above {@code budget}. */
  public DeviceMemory(Bytes budget) {
    this.budget = budget;
  }

  /**
   * Takes bytes.
   *
   * @param operation who asks, for the message
   * @throws OutOfDeviceMemoryException if fewer are left; nothing is taken then
   */
  public synchronized void take(MemoryKind kind, long bytes, String operation) {
    if (bytes < 0) {
      throw new IllegalArgumentException(operation + " takes " + bytes + " bytes");
    }
    require(bytes, operation);
    current[kind.ordinal()] += bytes;
    total += bytes;
    peak = Math.max(peak, total);
  }

  /**
   * Sees that so many bytes are left, and takes none.
   *
   * @param operation who asks, for the message
   * @throws OutOfDeviceMemoryException if fewer are left
   */
  public synchronized void require(long bytes, String operation) {
    if (bytes > budget.count() - total) {
      throw new OutOfDeviceMemoryException(
          operation, Bytes.of(bytes), Bytes.of(budget.count() - total), budget);
    }
  }

  /**
   * Gives bytes back.
   *
   * @throws IllegalStateException if fewer of the kind were taken
   */
  public synchronized void give(MemoryKind kind, long bytes) {
    if (bytes < 0 || bytes > current[kind.ordinal()]) {
      throw new IllegalStateException(
          "%d %s bytes given back, %d taken".formatted(bytes, kind, current[kind.ordinal()]));
    }
    current[kind.ordinal()] -= bytes;
    total -= bytes;
  }

  /**
   * Notes that a kernel used bytes for itself while it ran.
   *
   * @throws OutOfDeviceMemoryException if fewer are left
   */
  public synchronized void pass(long bytes, String operation) {
    take(MemoryKind.WORKSPACE, bytes, operation);
    give(MemoryKind.WORKSPACE, bytes);
  }

  public Bytes budget() {
    return budget;
  }

  /** Bytes held now, of all kinds. */
  public synchronized Bytes current() {
    return Bytes.of(total);
  }

  /** Bytes of one kind held now. */
  public synchronized Bytes current(MemoryKind kind) {
    return Bytes.of(current[kind.ordinal()]);
  }

  /** The most bytes held at once since the start or the last {@link #resetPeak}. */
  public synchronized Bytes peak() {
    return Bytes.of(peak);
  }

  /** Lets the peak begin again at what is held now. */
  public synchronized void resetPeak() {
    peak = total;
  }

  @Override
  public synchronized String toString() {
    return "DeviceMemory[current=%s %s, peak=%d, budget=%s]"
        .formatted(total, Arrays.toString(current), peak, budget);
  }
}
