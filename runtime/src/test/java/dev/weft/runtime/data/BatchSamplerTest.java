package dev.weft.runtime.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import dev.weft.runtime.testing.Mistake;
import java.util.Arrays;
import java.util.BitSet;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class BatchSamplerTest {
  private static Tokens counting(int count) {
    byte[] bytes = new byte[count];
    for (int index = 0; index < count; index++) {
      bytes[index] = (byte) index;
    }
    return Tokens.of(bytes);
  }

  @Property(tries = 300)
  void aKeyedPermutationIsOneToOne(
      @ForAll @IntRange(min = 1, max = 3000) int size, @ForAll long key) {
    var permutation = new KeyedPermutation(size, key);
    BitSet seen = new BitSet(size);
    for (int place = 0; place < size; place++) {
      long number = permutation.at(place);
      assertTrue(number >= 0 && number < size);
      assertFalse(seen.get((int) number));
      seen.set((int) number);
    }
  }

  @Property(tries = 300)
  void hugePermutationsStayInside(
      @ForAll @LongRange(min = 1) long size,
      @ForAll @LongRange(min = 0) long place,
      @ForAll long key) {
    long number = new KeyedPermutation(size, key).at(place % size);
    assertTrue(number >= 0 && number < size);
  }

  @Test
  void aKeyedPermutationLooksRandom() {
    int size = 10_000;
    var permutation = new KeyedPermutation(size, 42);
    var other = new KeyedPermutation(size, 43);
    double distance = 0;
    int neighbours = 0;
    int same = 0;
    for (int place = 1; place < size; place++) {
      long step = Math.abs(permutation.at(place) - permutation.at(place - 1));
      distance += (double) step / size;
      neighbours += step == 1 ? 1 : 0;
      same += permutation.at(place) == other.at(place) ? 1 : 0;
    }
    assertEquals(1.0 / 3, distance / size, 0.02);
    assertTrue(neighbours < 20, "neighbours " + neighbours);
    assertTrue(same < 20, "same " + same);
  }

  @Property(tries = 100)
  void anEpochTakesEveryWindowOnce(
      @ForAll @IntRange(min = 1, max = 20) int sequence,
      @ForAll @IntRange(min = 0, max = 500) int more,
      @ForAll long seed) {
    int count = sequence + 1 + more;
    var sampler = new BatchSampler(counting(count), sequence, 1, 1, seed);
    int windows = (int) sampler.windowsPerEpoch();
    for (int epoch = 0; epoch < 2; epoch++) {
      long[] starts = new long[windows];
      for (int index = 0; index < windows; index++) {
        starts[index] = sampler.windowStart((long) epoch * windows + index, 0);
        assertTrue(starts[index] >= 0 && starts[index] + sequence < count);
      }
      Arrays.sort(starts);
      for (int index = 1; index < windows; index++) {
        assertEquals(sequence, starts[index] - starts[index - 1]);
      }
    }
  }

  @Test
  void microBatchesAreTheRowsOfTheBatch() {
    Tokens tokens = counting(10_000);
    var whole = new BatchSampler(tokens, 8, 6, 1, 7);
    var parts = new BatchSampler(tokens, 8, 6, 3, 7);
    long[] inputs = new long[48];
    long[] targets = new long[48];
    long[] partInputs = new long[16];
    long[] partTargets = new long[16];
    for (long step : new long[] {0, 1, 5, 1_000_000, 3}) {
      whole.fill(step, 0, inputs, targets);
      for (int microBatch = 0; microBatch < 3; microBatch++) {
        parts.fill(step, microBatch, partInputs, partTargets);
        int from = microBatch * 16;
        assertArrayEquals(Arrays.copyOfRange(inputs, from, from + 16), partInputs);
        assertArrayEquals(Arrays.copyOfRange(targets, from, from + 16), partTargets);
      }
      for (int element = 0; element < 48; element++) {
        assertEquals((inputs[element] + 1) % 256, targets[element]);
      }
    }
  }

  @Test
  void rowsBeyondTheBatchDoNotCount() {
    Tokens tokens = counting(10_000);
    var whole = new BatchSampler(tokens, 8, 10, 1, 7);
    long[] inputs = new long[80];
    long[] targets = new long[80];
    whole.fill(3, 0, inputs, targets);
    for (int parts : new int[] {4, 7, 12}) {
      var padded = new BatchSampler(tokens, 8, 10, parts, 7);
      int rows = padded.microBatchRows();
      assertEquals((10 + parts - 1) / parts, rows);
      for (int part = 0; part < parts; part++) {
        long[] partInputs = new long[rows * 8];
        long[] partTargets = new long[rows * 8];
        Arrays.fill(partTargets, 5);
        padded.fill(3, part, partInputs, partTargets);
        for (int i = 0; i < rows * 8; i++) {
          int place = part * rows * 8 + i;
          assertEquals(place < 80 ? inputs[place] : 0, partInputs[i]);
          assertEquals(place < 80 ? targets[place] : Batches.IGNORED, partTargets[i]);
        }
      }
    }
  }

  @Test
  void theOrderIsOfTheSeedAlone() {
    Tokens tokens = counting(10_000);
    assertEquals(
        new BatchSampler(tokens, 8, 4, 1, 1).windowStart(123, 2),
        new BatchSampler(tokens, 8, 4, 2, 1).windowStart(123, 2));
    assertNotEquals(
        new BatchSampler(tokens, 8, 4, 1, 1).windowStart(123, 2),
        new BatchSampler(tokens, 8, 4, 1, 2).windowStart(123, 2));
    // What a run began with has to come again in the next version too.
    assertEquals(4084, new BatchSampler(tokens, 8, 4, 1, 1).windowStart(123, 2));
  }

  @Test
  void tooShortTextsAreTheUsersMistakes() {
    String tooShort = Mistake.message(() -> new BatchSampler(counting(64), 64, 1, 1, 0));
    assertTrue(tooShort.contains("64 tokens") && tooShort.contains("needs 65"), tooShort);
  }

  @Test
  void evaluationWindowsDropWhatIsLeftAndPadTheLastBatch() {
    // 4 tokens a window and one more for the last target: 2 windows fit into 12 tokens.
    var windows = EvaluationWindows.of("text", counting(12), 4, 3, -1);
    assertEquals(2, windows.windows());
    assertEquals(8, windows.tokens());
    assertEquals(1, windows.batches());
    long[] inputs = new long[12];
    long[] targets = new long[12];
    assertEquals(8, windows.fill(0, inputs, targets));
    assertArrayEquals(new long[] {0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0}, inputs);
    assertArrayEquals(new long[] {1, 2, 3, 4, 5, 6, 7, 8, -1, -1, -1, -1}, targets);
    assertEquals(3, EvaluationWindows.of("text", counting(13), 4, 3, -1).windows());
    assertThrows(UserException.class, () -> EvaluationWindows.of("text", counting(4), 4, 3, -1));
  }

  @Test
  void aFewWindowsAreSpreadOverTheText() {
    var windows = EvaluationWindows.of("text", counting(201), 2, 2, -1).atMost(4);
    assertEquals(4, windows.windows());
    long[] inputs = new long[4];
    windows.fill(1, inputs, new long[4]);
    assertArrayEquals(new long[] {100, 101, 150, 151}, inputs);
  }
}
