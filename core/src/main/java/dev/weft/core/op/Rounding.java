package dev.weft.core.op;

import dev.weft.core.graph.DataType;

/**
 * Rounds a double to the nearest number of another floating point type, to even where two are as
 * near. Types narrower than f32 are rounded from f32, as libraries do.
 */
public final class Rounding {
  private Rounding() {}

  public static double round(DataType to, double x) {
    return switch (to) {
      case F64 -> x;
      case F32 -> (float) x;
      case F16 -> Float.float16ToFloat(Float.floatToFloat16((float) x));
      case BF16 -> bfloat16((float) x);
      case I32, I64, BOOL -> throw new IllegalArgumentException(to + " holds no fractions");
    };
  }

  private static float bfloat16(float x) {
    return Float.isNaN(x) ? x : Float.intBitsToFloat(bfloat16Bits(x) << 16);
  }

  /** The bits of the nearest bf16. */
  public static short bfloat16Bits(float x) {
    // A NaN has one bit pattern here, whose lower half is zero.
    int bits = Float.floatToIntBits(x);
    return (short) ((bits + 0x7fff + (bits >>> 16 & 1)) >>> 16);
  }
}
