package dev.weft.engine.program;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.device.DeviceBuffer;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;

/**
 * What measurements compute on. Memory that was never written is one page of zeros, which a cache
 * holds, and to multiply zeros takes less power, which lets a processor run at a higher clock rate.
 */
public final class Noise {
  /** Whole numbers are below this, so that they can be rows of a table. */
  public static final int ROWS = 256;

  /** After so many numbers the same ones come again. */
  static final int PERIOD = (1 << 16) + 1;

  private Noise() {}

  /** Fills a buffer with numbers from -1 to 1, or whole ones from 0 on; the same ones each time. */
  public static void fill(DeviceBuffer buffer) {
    DataType dtype = buffer.type().dtype();
    int count = (int) Math.min(PERIOD, buffer.type().elements());
    TensorType type = TensorType.of(dtype, count);
    var random = new SplittableRandom(1);
    Literal numbers =
        dtype.isFloat()
            ? Literal.of(type, random.doubles(count, -1, 1).toArray())
            : Literal.of(type, random.longs(count, 0, dtype == DataType.BOOL ? 2 : ROWS).toArray());
    MemorySegment memory = buffer.segment();
    Literals.write(numbers, memory);
    long period = type.bytes();
    for (long at = period; at < memory.byteSize(); at += period) {
      long bytes = Math.min(period, memory.byteSize() - at);
      MemorySegment.copy(memory, 0, memory, at, bytes);
    }
  }
}
