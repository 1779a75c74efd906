package dev.weft.runtime.data;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The next byte given the two before it, from counts alone: what a model has to beat to have learnt
 * more than a table can hold.
 *
 * <p>Counts of three bytes are interpolated with counts of two, these with counts of one, and these
 * with equal chances for all 256, each weighted as Witten and Bell do: after a context that was
 * seen {@code n} times with {@code d} different followers, the shorter context has the weight
 * {@code d / (n + d)}. Chances of all 256 bytes add up to one after every context, seen or not.
 */
public final class TrigramTable {
  private static final int BYTES = 256;

  /** Bytes of the counted text are numbered densely; all others share the last number. */
  private final int[] numbers = new int[BYTES];

  private final int size;
  private final int[] triples;
  private final long[] pairs;
  private final double[] singles;
  private final long[] tripleTotals;
  private final int[] tripleFollowers;
  private final long[] pairTotals;
  private final int[] pairFollowers;

  /** Counts a text; a fraction of a second for 20 MB. */
  public TrigramTable(Tokens training) {
    MemorySegment bytes = training.bytes();
    long count = training.count();
    long[] occurrences = new long[BYTES];
    for (long index = 0; index < count; index++) {
      occurrences[bytes.get(ValueLayout.JAVA_BYTE, index) & 0xFF]++;
    }
    int distinct = 0;
    for (int value = 0; value < BYTES; value++) {
      numbers[value] = occurrences[value] > 0 ? distinct++ : -1;
    }
    size = distinct + 1;
    singles = new double[BYTES];
    for (int value = 0; value < BYTES; value++) {
      if (numbers[value] < 0) {
        numbers[value] = distinct;
      }
      double uniform = 1.0 / BYTES;
      singles[value] =
          count == 0 ? uniform : (occurrences[value] + distinct * uniform) / (count + distinct);
    }
    triples = new int[size * size * size];
    pairs = new long[size * size];
    countPairsAndTriples(bytes, count);
    tripleTotals = new long[size * size];
    tripleFollowers = new int[size * size];
    for (int context = 0; context < size * size; context++) {
      for (int next = 0; next < size; next++) {
        int times = triples[context * size + next];
        tripleTotals[context] += times;
        tripleFollowers[context] += times > 0 ? 1 : 0;
      }
    }
    pairTotals = new long[size];
    pairFollowers = new int[size];
    for (int context = 0; context < size; context++) {
      for (int next = 0; next < size; next++) {
        long times = pairs[context * size + next];
        pairTotals[context] += times;
        pairFollowers[context] += times > 0 ? 1 : 0;
      }
    }
  }

  private void countPairsAndTriples(MemorySegment bytes, long count) {
    int before = 0;
    int previous = 0;
    for (long index = 0; index < count; index++) {
      int next = numbers[bytes.get(ValueLayout.JAVA_BYTE, index) & 0xFF];
      if (index >= 1) {
        pairs[previous * size + next]++;
      }
      if (index >= 2) {
        int triple = (before * size + previous) * size + next;
        // A count of two billion stays there: the chance it stands for no longer changes.
        if (triples[triple] < Integer.MAX_VALUE) {
          triples[triple]++;
        }
      }
      before = previous;
      previous = next;
    }
  }

  /** The chance of a byte with nothing known before it. */
  public double probability(int next) {
    return singles[next];
  }

  /** The chance of a byte after one byte. */
  public double probability(int previous, int next) {
    double shorter = singles[next];
    int context = numbers[previous];
    long total = pairTotals[context];
    if (total == 0) {
      return shorter;
    }
    int followers = pairFollowers[context];
    return (pairs[context * size + numbers[next]] + followers * shorter) / (total + followers);
  }

  /** The chance of a byte after two bytes, {@code second} the nearer one. */
  public double probability(int first, int second, int next) {
    double shorter = probability(second, next);
    int context = numbers[first] * size + numbers[second];
    long total = tripleTotals[context];
    if (total == 0) {
      return shorter;
    }
    int followers = tripleFollowers[context];
    return (triples[context * size + numbers[next]] + followers * shorter) / (total + followers);
  }

  /**
   * The mean of the negative logarithm of every byte's chance, in nats per byte. The first two
   * bytes have shorter contexts.
   *
   * @throws IllegalArgumentException if there are no tokens
   */
  public double loss(Tokens validation) {
    if (validation.count() == 0) {
      throw new IllegalArgumentException("no tokens to measure the loss on");
    }
    double sum = 0;
    int first = 0;
    int second = 0;
    for (long index = 0; index < validation.count(); index++) {
      int next = validation.at(index);
      double probability =
          index == 0
              ? probability(next)
              : index == 1 ? probability(second, next) : probability(first, second, next);
      sum -= Math.log(probability);
      first = second;
      second = next;
    }
    return sum / validation.count();
  }
}
