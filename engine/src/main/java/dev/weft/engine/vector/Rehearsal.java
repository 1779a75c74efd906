package dev.weft.engine.vector;

import dev.weft.core.graph.DataType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Runs the loops on little until Java has compiled them: before that a vector is an object, and a
 * loop takes thousands of times as long. Every way through them is taken, for one that was not
 * would be compiled when it is first met.
 */
final class Rehearsal {
  /** Where loops are compiled this is far too long; where they are not it is passed at once. */
  private static final long FAST_NANOS = 10_000;

  /** So many fast runs in all: what is compiled may be thrown away and compiled better. */
  private static final int ENOUGH = 200;

  private static final long LONGEST_NANOS = 5_000_000_000L;

  /** Narrower registers win nothing over what a library does. */
  private static final int LEAST_LANES = 8;

  private static final int COLUMNS = 9;

  private Rehearsal() {}

  /** Whether loops for a type become fast within a few seconds. */
  static boolean isFast(DataType dtype) {
    if (Native.LANES < LEAST_LANES) {
      return false;
    }
    int length = 6 * Native.LANES + 1;
    // Scores that fill a vector, with a rest.
    int seen = Native.LANES + 1;
    long stride = (long) length * dtype.bytes();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment matrix = arena.allocate(stride * Math.max(seen, COLUMNS), 64);
      MemorySegment base = arena.allocate(4L * length, 64);
      MemorySegment result = arena.allocate(4L * length, 64);
      MemorySegment scores = arena.allocate(4L * seen, 64);
      float[] row = new float[length];
      boolean rounded = dtype != DataType.F32;
      long end = System.nanoTime() + LONGEST_NANOS;
      int fast = 0;
      for (int run = 0; fast < ENOUGH; run++) {
        long start = System.nanoTime();
        if (start > end) {
          return false;
        }
        long added = run % 3 == 0 ? 0 : base.address();
        RowLoops.read(dtype, base.address(), 1, row);
        RowLoops.multiply(
            dtype, row, matrix.address(), stride, added, result.address(), COLUMNS, rounded);
        AttentionLoops.attend(
            dtype,
            base.address(),
            1,
            row,
            matrix.address(),
            stride,
            matrix.address(),
            stride,
            seen,
            scores.address(),
            result.address());
        Elementary.gelu(dtype, base.address(), result.address(), length);
        if (System.nanoTime() - start < FAST_NANOS) {
          fast++;
        }
      }
      return true;
    }
  }
}
