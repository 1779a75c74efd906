package dev.weft.runtime.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class SyntheticPointsTest {
  private record Points(float[] places, long[] labels) {
    static Points of(SyntheticPoints source, long step, int microBatch) {
      int rows = source.microBatchRows();
      var points = new Points(new float[2 * rows], new long[rows]);
      source.fill(
          step,
          microBatch,
          MemorySegment.ofArray(points.places),
          MemorySegment.ofArray(points.labels));
      return points;
    }
  }

  @Test
  void microBatchesAreTheBatchInParts() {
    Points whole = Points.of(new SyntheticPoints(6, 1, 7), 3, 0);
    var halves = new SyntheticPoints(6, 2, 7);
    for (int part = 0; part < 2; part++) {
      Points half = Points.of(halves, 3, part);
      assertArrayEquals(Arrays.copyOfRange(whole.places, 6 * part, 6 * part + 6), half.places);
      assertArrayEquals(Arrays.copyOfRange(whole.labels, 3 * part, 3 * part + 3), half.labels);
    }
  }

  @Test
  void pointsBeyondTheBatchDoNotCount() {
    Points whole = Points.of(new SyntheticPoints(5, 1, 7), 3, 0);
    Points last = Points.of(new SyntheticPoints(5, 2, 7), 3, 1);
    assertArrayEquals(Arrays.copyOfRange(whole.places, 6, 10), Arrays.copyOf(last.places, 4));
    assertArrayEquals(new long[] {whole.labels[3], whole.labels[4], Batches.IGNORED}, last.labels);
  }

  @Test
  void stepsAndSeedsAndHeldOutPointsDiffer() {
    var source = new SyntheticPoints(4, 1, 7);
    float[] first = Points.of(source, 0, 0).places;
    assertFalse(Arrays.equals(first, Points.of(source, 1, 0).places));
    assertFalse(Arrays.equals(first, Points.of(new SyntheticPoints(4, 1, 8), 0, 0).places));
    float[] places = new float[8];
    source.fillHeldOut(0, MemorySegment.ofArray(places), MemorySegment.ofArray(new long[4]));
    assertFalse(Arrays.equals(first, places));
  }

  /** The arm of a point follows from its place: nearest neighbours are of one class. */
  @Test
  void armsAreApart() {
    Points points = Points.of(new SyntheticPoints(600, 1, 1), 0, 0);
    long[] seen = new long[SyntheticPoints.CLASSES];
    int alike = 0;
    for (int i = 0; i < 600; i++) {
      seen[(int) points.labels[i]]++;
      int nearest = -1;
      double least = Double.POSITIVE_INFINITY;
      for (int j = 0; j < 600; j++) {
        double distance =
            Math.hypot(
                points.places[2 * i] - points.places[2 * j],
                points.places[2 * i + 1] - points.places[2 * j + 1]);
        if (j != i && distance < least) {
          least = distance;
          nearest = j;
        }
      }
      alike += points.labels[i] == points.labels[nearest] ? 1 : 0;
    }
    assertTrue(Arrays.stream(seen).allMatch(n -> n > 100), Arrays.toString(seen));
    assertTrue(alike > 570, () -> "alike: " + Arrays.toString(seen));
  }

  @Test
  void rowsBeyondTheHeldOutPointsDoNotCount() {
    var source = new SyntheticPoints(1000, 1, 1);
    assertEquals(2, source.heldOutBatches());
    long[] labels = new long[1000];
    source.fillHeldOut(1, MemorySegment.ofArray(new float[2000]), MemorySegment.ofArray(labels));
    int counted = SyntheticPoints.HELD_OUT - 1000;
    assertTrue(Arrays.stream(labels, 0, counted).allMatch(label -> label >= 0));
    assertTrue(Arrays.stream(labels, counted, 1000).allMatch(label -> label == -1));
  }
}
