package dev.weft.engine.vector;

import dev.weft.core.op.Rounding;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Numbers at addresses. A vector of bf16 is read as one of whole numbers: the lower half of each is
 * an even element, the upper an odd one, and a bf16 is the upper half of an f32.
 */
final class Native {
  static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  static final VectorSpecies<Integer> PAIRS = IntVector.SPECIES_PREFERRED;

  /** Numbers of an f32 vector. */
  static final int LANES = FLOATS.length();

  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  /** All memory: one constant, so that nothing of it is looked up in a loop. */
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private static final int UPPER = 0xffff0000;

  private Native() {}

  static FloatVector floats(long address) {
    return FloatVector.fromMemorySegment(FLOATS, ALL, address, ORDER);
  }

  static void store(FloatVector vector, long address) {
    vector.intoMemorySegment(ALL, address, ORDER);
  }

  static void store(IntVector vector, long address) {
    vector.intoMemorySegment(ALL, address, ORDER);
  }

  static IntVector pairs(long address) {
    return IntVector.fromMemorySegment(PAIRS, ALL, address, ORDER);
  }

  static FloatVector even(IntVector pairs) {
    return pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
  }

  static FloatVector odd(IntVector pairs) {
    return pairs.and(UPPER).reinterpretAsFloats();
  }

  static float get(long address) {
    return ALL.get(FLOAT, address);
  }

  static void set(long address, float value) {
    ALL.set(FLOAT, address, value);
  }

  static float getNarrow(long address) {
    return Float.intBitsToFloat(ALL.get(SHORT, address) << 16);
  }

  /** Rounds to the nearest, halves to even. */
  static void setNarrow(long address, float value) {
    ALL.set(SHORT, address, Rounding.bfloat16Bits(value));
  }
}
