package dev.weft.runtime.checkpoint;

import dev.weft.core.graph.TensorType;
import java.lang.foreign.MemorySegment;

/**
 * A tensor's type and its elements: dense, row-major, little-endian.
 *
 * @param data exactly {@code type.bytes()} bytes, native or on the heap
 */
public record TensorData(TensorType type, MemorySegment data) {
  public TensorData {
    if (data.byteSize() != type.bytes()) {
      throw new IllegalArgumentException(
          "a tensor of type %s has %d bytes, found %d"
              .formatted(type, type.bytes(), data.byteSize()));
    }
  }
}
