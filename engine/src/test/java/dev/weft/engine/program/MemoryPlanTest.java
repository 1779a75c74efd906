package dev.weft.engine.program;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MemoryPlanTest {
  private static final int CASES = 300;
  private static final long ALIGNMENT = 64;

  private static List<Buffer> random(Random random) {
    int positions = 1 + random.nextInt(60);
    int kinds = 1 + random.nextInt(6);
    var buffers = new ArrayList<Buffer>();
    for (int i = random.nextInt(80); i >= 0; i--) {
      var buffer = new Buffer("b" + i, random.nextInt(kinds) * (1 + random.nextInt(3)) * 50L, null);
      buffer.live(random.nextInt(positions));
      // Some live for long, as what the backward reads; most do not.
      int reach = random.nextInt(4) == 0 ? positions : 4;
      buffer.live(Math.min(positions - 1, buffer.first + random.nextInt(reach)));
      buffers.add(buffer);
    }
    return buffers;
  }

  /** Where a buffer goes among those placed before: every place where one of them ends is tried. */
  private static long lowest(Buffer buffer, List<Buffer> placed) {
    List<Buffer> others =
        placed.stream()
            .filter(other -> other.first <= buffer.last && buffer.first <= other.last)
            .toList();
    var places = new ArrayList<>(List.of(0L));
    others.forEach(o -> places.add(Math.ceilDiv(o.offset + o.bytes, ALIGNMENT) * ALIGNMENT));
    return places.stream()
        .sorted()
        .filter(
            place ->
                others.stream()
                    .allMatch(o -> place + buffer.bytes <= o.offset || o.offset + o.bytes <= place))
        .findFirst()
        .orElseThrow();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void eachGoesToTheLowestPlaceThatIsFree(long seed) {
    var random = new Random(seed);
    for (int n = 0; n < CASES; n++) {
      List<Buffer> buffers = random(random);
      MemoryPlan plan = MemoryPlan.of(buffers);
      var placed = new ArrayList<Buffer>();
      var order = new ArrayList<>(buffers);
      order.sort(
          Comparator.comparingLong((Buffer b) -> -b.bytes).thenComparingInt((Buffer b) -> b.first));
      long end = 0;
      for (Buffer buffer : order) {
        if (buffer.bytes > 0) {
          assertEquals(lowest(buffer, placed), buffer.offset, "case " + n + ", " + buffer.name);
          placed.add(buffer);
          end = Math.max(end, buffer.offset + buffer.bytes);
        }
      }
      assertEquals(Math.ceilDiv(end, ALIGNMENT) * ALIGNMENT, plan.bytes());
      assertTrue(plan.liveBytes() <= plan.bytes());
      long live =
          buffers.stream()
              .filter(b -> b.first <= plan.fullest() && plan.fullest() <= b.last)
              .mapToLong(b -> b.bytes)
              .sum();
      assertEquals(live, plan.liveBytes());
    }
  }
}
