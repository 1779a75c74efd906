package dev.weft.core.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

final class PaceTest {
  private static final double MOMENT = 0.5;

  private static double[][] speeds(int devices, int moments, long seed) {
    var random = new Random(seed);
    double[][] speeds = new double[devices][moments];
    for (double[] device : speeds) {
      for (int i = 0; i < moments; i++) {
        device[i] = 0.1 + 2 * random.nextDouble();
      }
    }
    return speeds;
  }

  /** What is done from a beginning to an end, in many small steps. */
  private static double done(double[][] speeds, int first, int count, double begin, double end) {
    int steps = 20_000;
    double step = (end - begin) / steps;
    double done = 0;
    for (int i = 0; i < steps; i++) {
      int at = (int) Math.floor((begin + (i + 0.5) * step) / MOMENT) % speeds[0].length;
      double slowest = Double.POSITIVE_INFINITY;
      for (int device = first; device < first + count; device++) {
        slowest = Math.min(slowest, speeds[device % speeds.length][at]);
      }
      done += slowest * step;
    }
    return done;
  }

  @Property(tries = 60)
  void workEndsWhenTheSlowestHasDoneIt(
      @ForAll @IntRange(min = 1, max = 3) int devices,
      @ForAll @IntRange(min = 1, max = 6) int moments,
      @ForAll @IntRange(min = 0, max = 4) int first,
      @ForAll @IntRange(min = 1, max = 4) int count,
      @ForAll long seed) {
    double[][] speeds = speeds(devices, moments, seed);
    var pace = new Pace(MOMENT, speeds);
    var random = new Random(seed + 1);
    double begin = 5 * random.nextDouble();
    double work = 3 * random.nextDouble();
    double end = pace.end(first, count, begin, work);
    assertEquals(work, done(speeds, first, count, begin, end), 2e-3 * (1 + work));
    // One after the other it takes as long as at once.
    double middle = pace.end(first, count, begin, work / 3);
    assertEquals(end, pace.end(first, count, middle, work - work / 3), 1e-9 * (1 + end));
    // Begun later, at a moment's beginning, it is the same from there on.
    int turned = random.nextInt(2 * moments);
    double later = begin + turned * MOMENT;
    assertEquals(
        pace.end(first, count, later, work) - later,
        pace.from(turned).end(first, count, begin, work) - begin,
        1e-9 * (1 + later));
  }

  @Property(tries = 30)
  void aWholeRoundTakesWhatItTakesOnAverage(
      @ForAll @IntRange(min = 1, max = 8) int moments, @ForAll long seed) {
    double[][] speeds = speeds(1, moments, seed);
    double mean = 0;
    for (double speed : speeds[0]) {
      mean += speed / moments;
    }
    double round = moments * MOMENT;
    double begin = round * new Random(seed).nextDouble();
    double end = new Pace(MOMENT, speeds).end(0, 1, begin, 4 * round * mean);
    assertEquals(4 * round, end - begin, 1e-9 * end);
  }

  @Test
  void devicesThatWaitForOneAnotherLoseByTurns() {
    var pace = new Pace(1, new double[][] {{0.5, 1.5}, {1.5, 0.5}});
    assertEquals(2, pace.end(0, 1, 0, 2), 1e-12);
    assertEquals(2, pace.end(1, 1, 0, 2), 1e-12);
    assertEquals(4, pace.end(0, 2, 0, 2), 1e-12);
  }

  @Test
  void aDeviceThatNeverMovesIsNone() {
    assertThrows(
        IllegalArgumentException.class, () -> new Pace(1, new double[][] {{1, 1}, {1, 0}}));
    assertTrue(new Pace(1, new double[][] {{1, 1}}).equals(new Pace(1, new double[][] {{1, 1}})));
  }
}
