package dev.weft.core.op;

/**
 * Random numbers as a function of a key and a position: Philox4x32-10 (Salmon et al., Parallel
 * Random Numbers: As Easy as 1, 2, 3, SC'11). Position n is word n mod 4 of block n / 4.
 */
public final class Philox {
  private static final long MULTIPLIER_0 = 0xD2511F53L;
  private static final long MULTIPLIER_1 = 0xCD9E8D57L;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;

  private Philox() {}

  /** A key from what random numbers may depend on, well mixed. */
  public static long key(long seed, long site, long step, long layer) {
    long key = mix(seed + 0x9E3779B97F4A7C15L);
    key = mix(key ^ site);
    key = mix(key + 0x632BE59BD9B4E019L * step);
    return mix(key + 0xD1342543DE82EF95L * layer);
  }

  /** The site of a name: a hash that does not change from run to run. */
  public static long site(String name) {
    long hash = 0xCBF29CE484222325L;
    for (int i = 0; i < name.length(); i++) {
      hash = (hash ^ name.charAt(i)) * 0x100000001B3L;
    }
    return mix(hash) >>> 1;
  }

  /** The finalizer of SplitMix64. */
  private static long mix(long z) {
    long mixed = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    mixed = (mixed ^ (mixed >>> 27)) * 0x94D049BB133111EBL;
    return mixed ^ (mixed >>> 31);
  }

  /** The numbers at positions {@code first}, {@code first + 1}, ... */
  public static void fill(long key, long first, int[] target) {
    fill(key, first, target, target.length);
  }

  /** The same for the first {@code count} elements of the target. */
  public static void fill(long key, long first, int[] target, int count) {
    int[] block = new int[4];
    int filled = 0;
    while (filled < count) {
      long position = first + filled;
      block(key, position >>> 2, 0, block);
      for (int word = (int) (position & 3); word < 4 && filled < count; word++) {
        target[filled++] = block[word];
      }
    }
  }

  /** Four words for a counter of 128 bits. */
  static void block(long key, long counterLow, long counterHigh, int[] words) {
    int c0 = (int) counterLow;
    int c1 = (int) (counterLow >>> 32);
    int c2 = (int) counterHigh;
    int c3 = (int) (counterHigh >>> 32);
    int k0 = (int) key;
    int k1 = (int) (key >>> 32);
    for (int round = 0; round < 10; round++) {
      long p0 = MULTIPLIER_0 * (c0 & 0xFFFFFFFFL);
      long p1 = MULTIPLIER_1 * (c2 & 0xFFFFFFFFL);
      int n0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      int n2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c1 = (int) p1;
      c3 = (int) p0;
      c0 = n0;
      c2 = n2;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
  }
}
