package dev.weft.runtime.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class SyntheticImagesTest {
  private static final int EDGE = 24;
  private static final int PIXELS = EDGE * EDGE;

  private record Pictures(float[] images, long[] labels) {
    static Pictures of(SyntheticImages source, long step, int microBatch) {
      int rows = source.microBatchRows();
      var pictures = new Pictures(new float[rows * PIXELS], new long[rows * PIXELS]);
      source.fill(
          step,
          microBatch,
          MemorySegment.ofArray(pictures.images),
          MemorySegment.ofArray(pictures.labels));
      return pictures;
    }
  }

  @Test
  void microBatchesAreTheBatchInParts() {
    Pictures whole = Pictures.of(new SyntheticImages(EDGE, 4, 1, 7), 3, 0);
    var halves = new SyntheticImages(EDGE, 4, 2, 7);
    for (int part = 0; part < 2; part++) {
      Pictures half = Pictures.of(halves, 3, part);
      int from = part * 2 * PIXELS;
      assertArrayEquals(Arrays.copyOfRange(whole.images, from, from + 2 * PIXELS), half.images);
      assertArrayEquals(Arrays.copyOfRange(whole.labels, from, from + 2 * PIXELS), half.labels);
    }
  }

  @Test
  void picturesBeyondTheBatchDoNotCount() {
    Pictures whole = Pictures.of(new SyntheticImages(EDGE, 5, 1, 7), 3, 0);
    Pictures last = Pictures.of(new SyntheticImages(EDGE, 5, 2, 7), 3, 1);
    assertArrayEquals(
        Arrays.copyOfRange(whole.images, 3 * PIXELS, 5 * PIXELS),
        Arrays.copyOf(last.images, 2 * PIXELS));
    assertArrayEquals(
        Arrays.copyOfRange(whole.labels, 3 * PIXELS, 5 * PIXELS),
        Arrays.copyOf(last.labels, 2 * PIXELS));
    assertTrue(
        Arrays.stream(last.labels, 2 * PIXELS, 3 * PIXELS).allMatch(l -> l == Batches.IGNORED));
  }

  @Test
  void stepsAndSeedsAndHeldOutPicturesDiffer() {
    var source = new SyntheticImages(EDGE, 2, 1, 7);
    float[] first = Pictures.of(source, 0, 0).images;
    assertFalse(Arrays.equals(first, Pictures.of(source, 1, 0).images));
    assertFalse(Arrays.equals(first, Pictures.of(new SyntheticImages(EDGE, 2, 1, 8), 0, 0).images));
    float[] images = new float[2 * PIXELS];
    source.fillHeldOut(
        0, MemorySegment.ofArray(images), MemorySegment.ofArray(new long[2 * PIXELS]));
    assertFalse(Arrays.equals(first, images));
  }

  @Test
  void aPictureHasTheClassOfItsOnlyShape() {
    int rows = 60;
    var source = new SyntheticImages(SyntheticImages.Labels.PICTURE, EDGE, rows, 1, 7);
    assertEquals(rows * Long.BYTES, source.targetBytes());
    float[] images = new float[rows * PIXELS];
    long[] labels = new long[rows];
    source.fill(2, 0, MemorySegment.ofArray(images), MemorySegment.ofArray(labels));
    assertArrayEquals(new long[] {1, 2, 3}, Arrays.stream(labels).distinct().sorted().toArray());
  }

  @Test
  void everyClassIsSeenAndShapesAreBright() {
    Pictures pictures = Pictures.of(new SyntheticImages(EDGE, 64, 1, 1), 0, 0);
    long[] seen = new long[SyntheticImages.CLASSES];
    double[] brightness = new double[SyntheticImages.CLASSES];
    for (int i = 0; i < pictures.labels.length; i++) {
      seen[(int) pictures.labels[i]]++;
      brightness[(int) pictures.labels[i]] += pictures.images[i];
    }
    for (int kind = 0; kind < seen.length; kind++) {
      assertTrue(seen[kind] > pictures.labels.length / 100, Arrays.toString(seen));
      assertEquals(kind == 0 ? 0 : 1, brightness[kind] / seen[kind], 0.15);
    }
  }

  @Test
  void rowsBeyondTheHeldOutPicturesDoNotCount() {
    var source = new SyntheticImages(EDGE, 48, 1, 1);
    long[] labels = new long[48 * PIXELS];
    int last = source.heldOutBatches() - 1;
    source.fillHeldOut(
        last, MemorySegment.ofArray(new float[48 * PIXELS]), MemorySegment.ofArray(labels));
    int counted = SyntheticImages.HELD_OUT - last * 48;
    assertTrue(Arrays.stream(labels, 0, counted * PIXELS).allMatch(label -> label >= 0));
    assertTrue(
        Arrays.stream(labels, counted * PIXELS, labels.length).allMatch(label -> label == -1));
  }
}
