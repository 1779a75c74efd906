package dev.weft.nn.step;

import dev.weft.core.graph.DataType;
import dev.weft.core.op.Philox;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Parameter;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/** First values of parameters: a function of seed, name and place, however they are laid out. */
public final class Initialization {
  private static final int BLOCK = 1 << 14;

  private Initialization() {}

  /**
   * Writes all of a parameter, f32 or f64; of some layers what they have in the whole parameter.
   */
  public static void fill(Parameter parameter, long seed, MemorySegment target) {
    DataType dtype = parameter.type().dtype();
    long elements = parameter.type().elements();
    long skipped = parameter.firstElement();
    long key = Philox.key(seed, Philox.site(parameter.name()), 0, 0);
    IntStream.range(0, Math.toIntExact(Math.ceilDiv(elements, BLOCK)))
        .parallel()
        .forEach(
            block -> {
              long first = (long) block * BLOCK;
              int count = (int) Math.min(BLOCK, elements - first);
              double[] values = values(parameter.initializer(), key, skipped + first, count);
              for (int i = 0; i < count; i++) {
                if (dtype == DataType.F64) {
                  target.setAtIndex(ValueLayout.JAVA_DOUBLE, first + i, values[i]);
                } else {
                  target.setAtIndex(ValueLayout.JAVA_FLOAT, first + i, (float) values[i]);
                }
              }
            });
  }

  private static double[] values(Initializer initializer, long key, long first, int count) {
    double[] values = new double[count];
    switch (initializer) {
      case Initializer.Constant(double number) -> java.util.Arrays.fill(values, number);
      case Initializer.Uniform(double low, double high) -> {
        int[] bits = new int[count];
        Philox.fill(key, first, bits);
        for (int i = 0; i < count; i++) {
          values[i] = low + (high - low) * unit(bits[i]);
        }
      }
      case Initializer.Normal(double deviation) -> {
        // Two uniform numbers for each normal one (Box and Muller).
        int[] bits = new int[2 * count];
        Philox.fill(key, 2 * first, bits);
        for (int i = 0; i < count; i++) {
          double radius = Math.sqrt(-2 * Math.log(unit(bits[2 * i])));
          values[i] = deviation * radius * Math.cos(2 * Math.PI * unit(bits[2 * i + 1]));
        }
      }
    }
    return values;
  }

  /** Above 0 and below 1. */
  private static double unit(int bits) {
    return ((bits & 0xFFFFFFFFL) + 0.5) * 0x1p-32;
  }
}
