package dev.weft.engine.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** The loops on memory of any size, alignment and stride against plain sums of doubles. */
class LoopsTest {
  private static final byte UNTOUCHED = 0x55;

  /** Numbers in memory that begins anywhere, as the loops see them. */
  private static final class Numbers {
    final MemorySegment all;
    final long address;
    final DataType dtype;

    Numbers(Arena arena, DataType dtype, long count, int shift) {
      this.dtype = dtype;
      long bytes = count * dtype.bytes();
      all = arena.allocate(bytes + 128);
      all.fill(UNTOUCHED);
      address = all.address() + 64 + (long) shift * dtype.bytes();
    }

    private MemorySegment from(long index) {
      return MemorySegment.ofAddress(address + index * dtype.bytes()).reinterpret(8);
    }

    double get(long index) {
      return dtype == DataType.F32
          ? from(index).get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0)
          : Float.intBitsToFloat(from(index).get(ValueLayout.JAVA_SHORT_UNALIGNED, 0) << 16);
    }

    Numbers random(SplittableRandom random, long count) {
      return random(random, count, 1);
    }

    Numbers random(SplittableRandom random, long count, double size) {
      for (long i = 0; i < count; i++) {
        float value = (float) (size * random.nextDouble(-1, 1));
        if (dtype == DataType.F32) {
          from(i).set(ValueLayout.JAVA_FLOAT_UNALIGNED, 0, value);
        } else {
          short bits = (short) (Float.floatToIntBits(value) >>> 16);
          from(i).set(ValueLayout.JAVA_SHORT_UNALIGNED, 0, bits);
        }
      }
      return this;
    }

    /** That nothing before the first and behind the last number was written. */
    void checkEnds(long count) {
      long end = address - all.address() + count * dtype.bytes();
      for (long i = 0; i < all.byteSize(); i++) {
        if (i < address - all.address() || i >= end) {
          assertEquals(UNTOUCHED, all.get(ValueLayout.JAVA_BYTE, i));
        }
      }
    }
  }

  /** Rounding of the result, and of sums in f32. */
  private static double tolerance(DataType dtype, double size) {
    return (dtype == DataType.F32 ? 1e-6 : 1.0 / 256) * (1 + size);
  }

  @Property(tries = 300)
  void oneRowTimesAMatrix(
      @ForAll boolean narrow,
      @ForAll boolean rounded,
      @ForAll boolean based,
      @ForAll @IntRange(min = 1, max = 300) int k,
      @ForAll @IntRange(min = 0, max = 40) int n,
      @ForAll @IntRange(min = 0, max = 7) int gap,
      @ForAll @IntRange(min = 0, max = 15) int shift,
      @ForAll long seed) {
    var random = new SplittableRandom(seed);
    DataType dtype = narrow ? DataType.BF16 : DataType.F32;
    DataType made = rounded ? DataType.BF16 : DataType.F32;
    try (Arena arena = Arena.ofConfined()) {
      long stride = k + gap;
      Numbers x = new Numbers(arena, dtype, k, shift).random(random, k);
      Numbers w = new Numbers(arena, dtype, stride * n, shift).random(random, stride * n);
      Numbers base = new Numbers(arena, made, n, 1).random(random, n);
      Numbers y = new Numbers(arena, made, n, shift);
      float[] row = RowLoops.row(k);
      RowLoops.read(dtype, x.address, 0.5f, row);
      RowLoops.multiply(
          dtype,
          row,
          w.address,
          stride * dtype.bytes(),
          based ? base.address : 0,
          y.address,
          n,
          rounded);
      for (int column = 0; column < n; column++) {
        double sum = based ? base.get(column) : 0;
        for (int i = 0; i < k; i++) {
          sum += 0.5 * x.get(i) * w.get(column * stride + i);
        }
        assertEquals(sum, y.get(column), tolerance(made, Math.abs(sum) + Math.sqrt(k)));
      }
      y.checkEnds(n);
    }
  }

  @Property(tries = 300)
  void oneQueryAttends(
      @ForAll boolean narrow,
      @ForAll @IntRange(min = 1, max = 150) int size,
      @ForAll @IntRange(min = 1, max = 90) int seen,
      @ForAll @IntRange(min = 0, max = 7) int gap,
      @ForAll @IntRange(min = 0, max = 15) int shift,
      @ForAll @IntRange(min = 0, max = 30) int scale,
      @ForAll long seed) {
    var random = new SplittableRandom(seed);
    DataType dtype = narrow ? DataType.BF16 : DataType.F32;
    try (Arena arena = Arena.ofConfined()) {
      long stride = size + gap;
      Numbers query = new Numbers(arena, dtype, size, shift).random(random, size);
      Numbers keys = new Numbers(arena, dtype, stride * seen, 3).random(random, stride * seen);
      Numbers values =
          new Numbers(arena, dtype, stride * seen, shift).random(random, stride * seen);
      Numbers y = new Numbers(arena, dtype, size, shift);
      MemorySegment scores = arena.allocate(4L * seen, 4);
      long bytes = stride * dtype.bytes();
      AttentionLoops.attend(
          dtype,
          query.address,
          scale,
          new float[size],
          keys.address,
          bytes,
          values.address,
          bytes,
          seen,
          scores.address(),
          y.address);
      double[] powers = new double[seen];
      double total = 0;
      for (int place = 0; place < seen; place++) {
        double score = 0;
        for (int i = 0; i < size; i++) {
          score += scale * query.get(i) * keys.get(place * stride + i);
        }
        powers[place] = score;
      }
      double largest = java.util.Arrays.stream(powers).max().orElseThrow();
      for (int place = 0; place < seen; place++) {
        powers[place] = Math.exp(powers[place] - largest);
        total += powers[place];
      }
      for (int i = 0; i < size; i++) {
        double sum = 0;
        for (int place = 0; place < seen; place++) {
          sum += powers[place] / total * values.get(place * stride + i);
        }
        // A score is off by roundings of its terms, and a power by as much, relatively.
        double error = narrow ? 1.0 / 256 : 1e-5;
        assertEquals(sum, y.get(i), error * (1 + (narrow ? 0 : scale)));
      }
      y.checkEnds(size);
    }
  }

  @Property(tries = 200)
  void geluOfARow(
      @ForAll boolean narrow,
      @ForAll @IntRange(min = 0, max = 150) int count,
      @ForAll @IntRange(min = 0, max = 15) int shift,
      @ForAll @IntRange(min = 0, max = 20) int size,
      @ForAll long seed) {
    DataType dtype = narrow ? DataType.BF16 : DataType.F32;
    try (Arena arena = Arena.ofConfined()) {
      var random = new SplittableRandom(seed);
      Numbers x = new Numbers(arena, dtype, count, shift).random(random, count, size);
      Numbers y = new Numbers(arena, dtype, count, 3);
      Elementary.gelu(dtype, x.address, y.address, count);
      for (int i = 0; i < count; i++) {
        double v = x.get(i);
        double inner = Math.sqrt(2 / Math.PI) * (v + 0.044715 * v * v * v);
        double expected = 0.5 * v * (1 + Math.tanh(inner));
        assertEquals(expected, y.get(i), tolerance(dtype, 2 * Math.abs(expected)));
      }
      y.checkEnds(count);
    }
  }

  @Test
  void whatIsNotANumberStaysSo() {
    try (Arena arena = Arena.ofConfined()) {
      int size = 40;
      var random = new SplittableRandom(1);
      for (DataType dtype : new DataType[] {DataType.F32, DataType.BF16}) {
        Numbers numbers = new Numbers(arena, dtype, size * 40L, 0).random(random, size * 40L);
        Numbers values = new Numbers(arena, dtype, size * 40L, 0).random(random, size * 40L);
        Numbers y = new Numbers(arena, dtype, size, 0);
        if (dtype == DataType.F32) {
          numbers.from(7).set(ValueLayout.JAVA_FLOAT_UNALIGNED, 0, Float.NaN);
        } else {
          numbers.from(7).set(ValueLayout.JAVA_SHORT_UNALIGNED, 0, (short) 0x7fff);
        }
        AttentionLoops.attend(
            dtype,
            numbers.address,
            1,
            new float[size],
            numbers.address,
            (long) size * dtype.bytes(),
            values.address,
            (long) size * dtype.bytes(),
            40,
            arena.allocate(160).address(),
            y.address);
        for (int i = 0; i < size; i++) {
          assertTrue(Double.isNaN(y.get(i)));
        }
      }
    }
  }

  @Test
  void areFastHereAndOnlyForTypesThatHaveThem() {
    assertTrue(Vectors.areFast(DataType.F32));
    assertTrue(Vectors.areFast(DataType.BF16));
    assertFalse(Vectors.areFast(DataType.F64));
  }
}
