package dev.weft.runtime.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class PrefetcherTest {
  private static Tokens random() {
    byte[] bytes = new byte[5000];
    new Random(1).nextBytes(bytes);
    return Tokens.of(bytes);
  }

  @Test
  void givesWhatTheSamplerGivesFromAnyStepOn() {
    var sampler = new BatchSampler(random(), 16, 4, 2, 3);
    long[] inputs = new long[32];
    long[] targets = new long[32];
    try (var prefetcher = new Prefetcher(sampler, 70, 3)) {
      for (long step = 70; step < 300; step++) {
        for (int microBatch = 0; microBatch < 2; microBatch++) {
          Prefetcher.Batch batch = prefetcher.next();
          assertEquals(step, batch.step());
          assertEquals(microBatch, batch.microBatch());
          sampler.fill(step, microBatch, inputs, targets);
          assertArrayEquals(inputs, batch.inputs().toArray(ValueLayout.JAVA_LONG));
          assertArrayEquals(targets, batch.targets().toArray(ValueLayout.JAVA_LONG));
        }
      }
    }
  }

  @Test
  void failuresReachTheConsumerAgainAndAgain() {
    Arena arena = Arena.ofShared();
    MemorySegment memory = arena.allocate(1000);
    var sampler = new BatchSampler(Tokens.of(memory), 16, 4, 1, 3);
    arena.close();
    try (var prefetcher = new Prefetcher(sampler, 0, 2)) {
      assertThrows(IllegalStateException.class, prefetcher::next);
      assertThrows(IllegalStateException.class, prefetcher::next);
    }
  }

  @Test
  void closesWhileTheProducerWaits() {
    var prefetcher = new Prefetcher(new BatchSampler(random(), 16, 4, 1, 3), 0, 1);
    MemorySegment inputs = prefetcher.next().inputs();
    prefetcher.close();
    prefetcher.close();
    assertFalse(inputs.scope().isAlive());
    assertThrows(IllegalStateException.class, prefetcher::next);
  }
}
