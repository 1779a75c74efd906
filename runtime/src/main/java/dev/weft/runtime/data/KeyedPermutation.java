package dev.weft.runtime.data;

/**
 * A shuffled order of the numbers 0 to {@code size - 1} that takes no memory: the number at any
 * place is computed from the place and a key.
 *
 * <p>A place is written as two digits, {@code left * columns + right} in a grid that is nearly
 * square. Rounds add a hash of one digit to the other, modulo its base, which can be undone, so
 * that the whole is one-to-one on the grid (a Feistel network). The grid has less than one row more
 * than {@code size}; a result beyond the end is put through again until it falls inside, which
 * keeps it one-to-one on the numbers inside.
 */
final class KeyedPermutation {
  private static final int ROUNDS = 8;

  private final long size;
  private final long rows;
  private final long columns;
  private final long[] keys = new long[ROUNDS];

  /**
   * A permutation of {@code size} numbers, another for every key.
   *
   * @throws IllegalArgumentException if the size is not positive
   */
  KeyedPermutation(long size, long key) {
    if (size <= 0) {
      throw new IllegalArgumentException("nothing to permute: size " + size);
    }
    this.size = size;
    this.rows = Math.max(1, (long) Math.ceil(Math.sqrt((double) size)));
    this.columns = Math.ceilDiv(size, rows);
    for (int round = 0; round < ROUNDS; round++) {
      keys[round] = mix(key, round);
    }
  }

  /** The number at a place; different for different places. */
  long at(long place) {
    if (place < 0 || place >= size) {
      throw new IndexOutOfBoundsException("place " + place + " of " + size);
    }
    long number = place;
    do {
      number = withinGrid(number);
    } while (number >= size);
    return number;
  }

  private long withinGrid(long place) {
    long left = place / columns;
    long right = place % columns;
    for (int round = 0; round < ROUNDS; round += 2) {
      left = (left + Long.remainderUnsigned(mix(keys[round], right), rows)) % rows;
      right = (right + Long.remainderUnsigned(mix(keys[round + 1], left), columns)) % columns;
    }
    return left * columns + right;
  }

  /** Hashes a key and a number to 64 bits (the finalizer of SplitMix64, applied twice). */
  static long mix(long key, long number) {
    return scramble(scramble(key) + number * 0x9E3779B97F4A7C15L + 0x9E3779B97F4A7C15L);
  }

  private static long scramble(long bits) {
    long mixed = bits;
    mixed = (mixed ^ (mixed >>> 30)) * 0xBF58476D1CE4E5B9L;
    mixed = (mixed ^ (mixed >>> 27)) * 0x94D049BB133111EBL;
    return mixed ^ (mixed >>> 31);
  }
}
