package dev.weft.engine.library;

import dev.weft.engine.buffer.DeviceMemory;
import dev.weft.engine.buffer.MemoryKind;

/**
 * A place of a compiled program for a tensor that a kernel allocates anew each time: empty or
 * owning one handle. Books the tensor's bytes as adopted while it holds them. One thread at a time.
 */
public final class TensorSlot implements TensorSource, AutoCloseable {
  private final String name;
  private final DeviceMemory memory;
  private long address;
  private long bytes;

  /** An empty slot; {@code name} is for messages. */
  public TensorSlot(String name, DeviceMemory memory) {
    this.name = name;
    this.memory = memory;
  }

  @Override
  public long address() {
    if (address == 0) {
      throw new IllegalStateException("slot " + name + " is empty");
    }
    return address;
  }

  public boolean isEmpty() {
    return address == 0;
  }

  public String name() {
    return name;
  }

  /** Bytes of the tensor held now; 0 if empty. */
  public long bytes() {
    return bytes;
  }

  /**
   * Takes over a handle; where that fails the handle is deleted.
   *
   * @throws IllegalStateException if the slot already owns one
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if its bytes go above the budget
   */
  void fill(long handle) {
    long size;
    try {
      if (address != 0) {
        throw new IllegalStateException("slot " + name + " filled twice");
      }
      size = Tensors.storageBytes(handle);
      memory.take(MemoryKind.ADOPTED, size, name);
    } catch (RuntimeException e) {
      Tensors.delete(handle);
      throw e;
    }
    address = handle;
    bytes = size;
    TensorHandle.born();
  }

  /**
   * Deletes the handle that it owns; the slot may be filled again.
   *
   * @throws IllegalStateException if it owns none
   */
  public void release() {
    long handle = address();
    address = 0;
    Tensors.delete(handle);
    memory.give(MemoryKind.ADOPTED, bytes);
    bytes = 0;
    TensorHandle.died();
  }

  /** Releases if there is something to release. */
  @Override
  public void close() {
    if (address != 0) {
      release();
    }
  }

  @Override
  public String toString() {
    return "TensorSlot[" + name + (address == 0 ? ", empty]" : "]");
  }
}
