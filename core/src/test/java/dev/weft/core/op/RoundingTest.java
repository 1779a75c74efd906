package dev.weft.core.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.DataType;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

class RoundingTest {
  @Example
  void bfloat16KeepsEightBitsToNearestEven() {
    assertEquals(1.0, round(DataType.BF16, 1 + 0x1p-8), "a tie goes to the even neighbour below");
    assertEquals(1 + 0x1p-6, round(DataType.BF16, 1 + 3 * 0x1p-8), "or above");
    assertEquals(1 + 0x1p-7, round(DataType.BF16, 1 + 0x1p-8 + 0x1p-20));
    assertEquals(Double.POSITIVE_INFINITY, round(DataType.BF16, Float.MAX_VALUE));
    assertEquals(Double.NEGATIVE_INFINITY, round(DataType.BF16, Double.NEGATIVE_INFINITY));
    assertTrue(Double.isNaN(round(DataType.BF16, Double.NaN)));
    assertEquals(-0.0, round(DataType.BF16, -0.0));
  }

  @Example
  void float16HasElevenBitsAndEndsEarly() {
    assertEquals(65504, round(DataType.F16, 65504 + 8));
    assertEquals(Double.POSITIVE_INFINITY, round(DataType.F16, 65520));
    assertEquals(1.0, round(DataType.F16, 1 + 0x1p-11));
    assertEquals(0x1p-24, round(DataType.F16, 0x1p-24));
  }

  /** A library casts f64 to a narrow type through f32; so do we, for its results are compared. */
  @Example
  void narrowTypesAreRoundedFromF32() {
    double barelyAboveTie = 1 + 0x1p-8 + 0x1p-40;
    assertEquals(1, round(DataType.BF16, barelyAboveTie));
    assertEquals(1, round(DataType.F16, 1 + 0x1p-11 + 0x1p-40));
  }

  @Property
  void roundingTwiceChangesNothing(@ForAll float x) {
    for (DataType type : DataType.values()) {
      if (type.isFloat()) {
        double once = round(type, x);
        assertEquals(once, round(type, once));
      }
    }
  }

  @Property
  void bfloat16IsTheNearest(@ForAll float x) {
    double rounded = round(DataType.BF16, x);
    if (Double.isFinite(rounded) && rounded != 0) {
      int bits = Float.floatToIntBits((float) rounded);
      double above = Float.intBitsToFloat(bits + 0x10000);
      double below = Float.intBitsToFloat(bits - 0x10000);
      assertTrue(Math.abs(x - rounded) <= Math.abs(x - above));
      assertTrue(Math.abs(x - rounded) <= Math.abs(x - below));
    }
  }

  @Example
  void integersHoldNoFractions() {
    assertThrows(IllegalArgumentException.class, () -> round(DataType.I32, 1.5));
  }

  private static double round(DataType type, double x) {
    return Rounding.round(type, x);
  }
}
