package dev.weft.engine.vector;

import static dev.weft.engine.vector.Native.FLOATS;
import static dev.weft.engine.vector.Native.LANES;

import dev.weft.core.graph.DataType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** Functions of each number by itself. */
public final class Elementary {
  private static final float CUBE = 0.044715f;
  private static final float SQRT_2_PER_PI = 0.7978845608f;

  private Elementary() {}

  /**
   * The gelu by tanh of numbers without gaps, in place or not.
   *
   * @param dtype f32 or bf16
   */
  public static void gelu(DataType dtype, long from, long to, int count) {
    int i = 0;
    if (dtype == DataType.F32) {
      for (; i + LANES <= count; i += LANES) {
        Native.store(gelu(Native.floats(from + 4L * i)), to + 4L * i);
      }
      for (; i < count; i++) {
        Native.set(to + 4L * i, gelu(Native.get(from + 4L * i)));
      }
      return;
    }
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
      IntVector pairs = Native.pairs(from + 2L * i);
      put(gelu(Native.even(pairs)), gelu(Native.odd(pairs)), 1, to + 2L * i);
    }
    for (; i < count; i++) {
      Native.setNarrow(to + 2L * i, gelu(Native.getNarrow(from + 2L * i)));
    }
  }

  private static float gelu(float x) {
    return (float) (0.5 * x * (1 + Math.tanh(SQRT_2_PER_PI * (x + CUBE * x * x * x))));
  }

  /** As (1 + tanh u) / 2 = 1 / (1 + exp(-2 u)), of which only powers up to one are computed. */
  private static FloatVector gelu(FloatVector x) {
    FloatVector one = FloatVector.broadcast(FLOATS, 1);
    FloatVector u = x.mul(x).fma(FloatVector.broadcast(FLOATS, CUBE), one).mul(x);
    FloatVector power = exp(u.abs().mul(-2 * SQRT_2_PER_PI));
    FloatVector share = one.blend(power, u.compare(VectorOperators.LT, 0));
    return x.mul(share).div(power.add(1));
  }

  // Of e to the power of x = n log 2 + r, |r| at most log 2 / 2: log 2 in two parts, of which n
  // times the first is exact, and the series of e to the power of r, good to a rounding (Cody and
  // Waite, Software Manual for the Elementary Functions, chapter 6).
  private static final float PER_LOG_2 = 1.44269504f;
  private static final float LOG_2_HIGH = 0.693359375f;
  private static final float LOG_2_LOW = -2.12194440e-4f;

  /** Below, the result is zero: it would not be a normal number. */
  private static final float LEAST = -87.3f;

  /** Adding and taking it away again rounds to a whole number. */
  private static final float ROUNDING = 12582912f;

  /** e to the power of numbers that are at most 0; NaN stays. */
  static FloatVector exp(FloatVector x) {
    VectorMask<Float> tiny = x.compare(VectorOperators.LT, LEAST);
    FloatVector bounded = x.max(LEAST);
    FloatVector shifted = bounded.mul(PER_LOG_2).add(ROUNDING);
    FloatVector n = shifted.sub(ROUNDING);
    FloatVector r = n.fma(FloatVector.broadcast(FLOATS, -LOG_2_HIGH), bounded);
    r = n.fma(FloatVector.broadcast(FLOATS, -LOG_2_LOW), r);
    FloatVector series = FloatVector.broadcast(FLOATS, 1 / 5040f);
    series = series.fma(r, FloatVector.broadcast(FLOATS, 1 / 720f));
    series = series.fma(r, FloatVector.broadcast(FLOATS, 1 / 120f));
    series = series.fma(r, FloatVector.broadcast(FLOATS, 1 / 24f));
    series = series.fma(r, FloatVector.broadcast(FLOATS, 1 / 6f));
    series = series.fma(r, FloatVector.broadcast(FLOATS, 1 / 2f));
    series = series.fma(r, FloatVector.broadcast(FLOATS, 1));
    series = series.fma(r, FloatVector.broadcast(FLOATS, 1));
    // The lowest bits of the shifted number are n: moved up they are added to the exponent.
    IntVector power = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
    FloatVector result = series.reinterpretAsInts().add(power).reinterpretAsFloats();
    return result.blend(0, tiny).blend(x, x.test(VectorOperators.IS_NAN));
  }

  /** Rounds numbers times a factor to bf16, even elements and odd ones. */
  static void put(FloatVector even, FloatVector odd, float share, long result) {
    IntVector low = rounded(even.mul(share)).lanewise(VectorOperators.LSHR, 16);
    IntVector high = rounded(odd.mul(share)).and(0xffff0000);
    Native.store(low.or(high), result);
  }

  /** Bits of which the upper half is the nearest bf16, of two as near the even one. */
  private static IntVector rounded(FloatVector x) {
    IntVector bits = x.reinterpretAsInts();
    return bits.add(bits.lanewise(VectorOperators.LSHR, 16).and(1)).add(0x7fff);
  }
}
