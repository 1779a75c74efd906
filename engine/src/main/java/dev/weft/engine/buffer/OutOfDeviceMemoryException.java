package dev.weft.engine.buffer;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.UserException;

/** An operation needs more bytes than its device's budget has left. */
public final class OutOfDeviceMemoryException extends UserException {
  private final String operation;
  private final Bytes needed;
  private final Bytes left;

  OutOfDeviceMemoryException(String operation, Bytes needed, Bytes left, Bytes budget) {
    super(
        "out of device memory: %s needs %s (%d bytes), %s (%d bytes) are left of a budget of %s. Raise --device-memory, or make the model, the batch or the micro-batch smaller."
            .formatted(operation, needed, needed.count(), left, left.count(), budget));
    this.operation = operation;
    this.needed = needed;
    this.left = left;
  }

  public String operation() {
    return operation;
  }

  public Bytes needed() {
    return needed;
  }

  public Bytes left() {
    return left;
  }
}
