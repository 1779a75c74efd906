package dev.weft.runtime.collective;

import dev.weft.core.cluster.Folding;
import dev.weft.core.graph.DataType;
import dev.weft.core.op.Rounding;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * Folds parts element by element in a fixed tree over the members: neighbours first, then
 * neighbouring pairs, and so on. What comes out depends on the parts alone, not on who computes it
 * or when. Numbers of 16 bits are folded with 32 and rounded once.
 *
 * @param <A> the array in which a block of elements is folded, small enough for the fastest cache
 */
abstract class Fold<A> {
  /** Elements of a block. */
  private static final int BLOCK = 2048;

  private final int bytes;
  private final ThreadLocal<List<A>> arrays = ThreadLocal.withInitial(ArrayList::new);

  private Fold(int bytes) {
    this.bytes = bytes;
  }

  /**
   * The fold of a type.
   *
   * @throws IllegalArgumentException for a sum of truth values
   */
  static Fold<?> of(DataType dtype, Folding folding) {
    return switch (dtype) {
      case F32, BF16, F16 -> new Floats(dtype, folding);
      case F64 -> new Doubles(folding);
      case I32 -> new Ints(folding);
      case I64 -> new Longs(folding);
      case BOOL -> new Truths(folding);
    };
  }

  /**
   * Folds some elements of all inputs.
   *
   * @param at where they begin in every input, in bytes
   * @param outputs where the result is written
   * @param to where in every output, in bytes; where the inputs' memory is written, at the same
   *     place
   */
  final void run(MemorySegment[] inputs, long at, MemorySegment[] outputs, long to, long length) {
    long step = (long) BLOCK * bytes;
    for (long done = 0; done < length; done += step) {
      int count = (int) (Math.min(step, length - done) / bytes);
      A result = fold(inputs, 0, inputs.length, at + done, count, 0);
      for (MemorySegment output : outputs) {
        store(result, output, to + done, count);
      }
    }
  }

  private A fold(MemorySegment[] inputs, int first, int members, long at, int count, int level) {
    if (members == 1) {
      A array = array(level);
      load(array, inputs[first], at, count);
      return array;
    }
    int half = Integer.highestOneBit(members - 1);
    A left = fold(inputs, first, half, at, count, level);
    A right = fold(inputs, first + half, members - half, at, count, level + 1);
    combine(left, right, count);
    return left;
  }

  private A array(int level) {
    List<A> known = arrays.get();
    while (known.size() <= level) {
      known.add(make(BLOCK));
    }
    return known.get(level);
  }

  abstract A make(int count);

  abstract void load(A array, MemorySegment from, long at, int count);

  abstract void combine(A left, A right, int count);

  abstract void store(A array, MemorySegment to, long at, int count);

  private static final class Floats extends Fold<float[]> {
    private final DataType dtype;
    private final Folding folding;

    Floats(DataType dtype, Folding folding) {
      super(dtype.bytes());
      this.dtype = dtype;
      this.folding = folding;
    }

    @Override
    float[] make(int count) {
      return new float[count];
    }

    @Override
    void load(float[] array, MemorySegment from, long at, int count) {
      if (dtype == DataType.F32) {
        MemorySegment.copy(from, ValueLayout.JAVA_FLOAT_UNALIGNED, at, array, 0, count);
      } else if (dtype == DataType.BF16) {
        for (int i = 0; i < count; i++) {
          short half = from.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + 2L * i);
          array[i] = Float.intBitsToFloat(half << 16);
        }
      } else {
        for (int i = 0; i < count; i++) {
          array[i] = Float.float16ToFloat(from.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + 2L * i));
        }
      }
    }

    @Override
    void combine(float[] left, float[] right, int count) {
      switch (folding) {
        case SUM -> {
          for (int i = 0; i < count; i++) {
            left[i] += right[i];
          }
        }
        case MAX -> {
          for (int i = 0; i < count; i++) {
            left[i] = Math.max(left[i], right[i]);
          }
        }
        case MIN -> {
          for (int i = 0; i < count; i++) {
            left[i] = Math.min(left[i], right[i]);
          }
        }
      }
    }

    @Override
    void store(float[] array, MemorySegment to, long at, int count) {
      if (dtype == DataType.F32) {
        MemorySegment.copy(array, 0, to, ValueLayout.JAVA_FLOAT_UNALIGNED, at, count);
      } else if (dtype == DataType.BF16) {
        for (int i = 0; i < count; i++) {
          to.set(ValueLayout.JAVA_SHORT_UNALIGNED, at + 2L * i, Rounding.bfloat16Bits(array[i]));
        }
      } else {
        for (int i = 0; i < count; i++) {
          to.set(ValueLayout.JAVA_SHORT_UNALIGNED, at + 2L * i, Float.floatToFloat16(array[i]));
        }
      }
    }
  }

  private static final class Doubles extends Fold<double[]> {
    private final Folding folding;

    Doubles(Folding folding) {
      super(Double.BYTES);
      this.folding = folding;
    }

    @Override
    double[] make(int count) {
      return new double[count];
    }

    @Override
    void load(double[] array, MemorySegment from, long at, int count) {
      MemorySegment.copy(from, ValueLayout.JAVA_DOUBLE_UNALIGNED, at, array, 0, count);
    }

    @Override
    void combine(double[] left, double[] right, int count) {
      switch (folding) {
        case SUM -> {
          for (int i = 0; i < count; i++) {
            left[i] += right[i];
          }
        }
        case MAX -> {
          for (int i = 0; i < count; i++) {
            left[i] = Math.max(left[i], right[i]);
          }
        }
        case MIN -> {
          for (int i = 0; i < count; i++) {
            left[i] = Math.min(left[i], right[i]);
          }
        }
      }
    }

    @Override
    void store(double[] array, MemorySegment to, long at, int count) {
      MemorySegment.copy(array, 0, to, ValueLayout.JAVA_DOUBLE_UNALIGNED, at, count);
    }
  }

  private static final class Ints extends Fold<int[]> {
    private final Folding folding;

    Ints(Folding folding) {
      super(Integer.BYTES);
      this.folding = folding;
    }

    @Override
    int[] make(int count) {
      return new int[count];
    }

    @Override
    void load(int[] array, MemorySegment from, long at, int count) {
      MemorySegment.copy(from, ValueLayout.JAVA_INT_UNALIGNED, at, array, 0, count);
    }

    @Override
    void combine(int[] left, int[] right, int count) {
      for (int i = 0; i < count; i++) {
        left[i] =
            switch (folding) {
              case SUM -> left[i] + right[i];
              case MAX -> Math.max(left[i], right[i]);
              case MIN -> Math.min(left[i], right[i]);
            };
      }
    }

    @Override
    void store(int[] array, MemorySegment to, long at, int count) {
      MemorySegment.copy(array, 0, to, ValueLayout.JAVA_INT_UNALIGNED, at, count);
    }
  }

  private static final class Longs extends Fold<long[]> {
    private final Folding folding;

    Longs(Folding folding) {
      super(Long.BYTES);
      this.folding = folding;
    }

    @Override
    long[] make(int count) {
      return new long[count];
    }

    @Override
    void load(long[] array, MemorySegment from, long at, int count) {
      MemorySegment.copy(from, ValueLayout.JAVA_LONG_UNALIGNED, at, array, 0, count);
    }

    @Override
    void combine(long[] left, long[] right, int count) {
      for (int i = 0; i < count; i++) {
        left[i] = folding.apply(left[i], right[i]);
      }
    }

    @Override
    void store(long[] array, MemorySegment to, long at, int count) {
      MemorySegment.copy(array, 0, to, ValueLayout.JAVA_LONG_UNALIGNED, at, count);
    }
  }

  /** The largest of truth values is true where any is, the smallest where all are. */
  private static final class Truths extends Fold<byte[]> {
    private final boolean any;

    Truths(Folding folding) {
      super(1);
      if (folding == Folding.SUM) {
        throw new IllegalArgumentException("truth values have no sum");
      }
      this.any = folding == Folding.MAX;
    }

    @Override
    byte[] make(int count) {
      return new byte[count];
    }

    @Override
    void load(byte[] array, MemorySegment from, long at, int count) {
      MemorySegment.copy(from, ValueLayout.JAVA_BYTE, at, array, 0, count);
    }

    @Override
    void combine(byte[] left, byte[] right, int count) {
      for (int i = 0; i < count; i++) {
        left[i] = (byte) (any ? left[i] | right[i] : left[i] & right[i]);
      }
    }

    @Override
    void store(byte[] array, MemorySegment to, long at, int count) {
      MemorySegment.copy(array, 0, to, ValueLayout.JAVA_BYTE, at, count);
    }
  }
}
