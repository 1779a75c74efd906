package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/**
 * Pictures of discs, squares and triangles of random place, size and brightness on noise, with the
 * class of every pixel, or of the one shape that they show: something to segment or to tell apart
 * that needs no download. Every picture is a pure function of the seed and its number. Brightness
 * does not tell shapes apart, only their outline does. Those held out for measuring are others than
 * those trained on.
 */
public final class SyntheticImages implements Batches {
  /** Nothing, disc, square, triangle. */
  public static final int CLASSES = 4;

  /** Pictures to measure on. */
  public static final int HELD_OUT = 64;

  private static final int MOST_SHAPES = 3;
  private static final double NOISE = 0.3;
  private static final long HELD_OUT_KEY = 0x9E3779B97F4A7C15L;

  /** What has a class. */
  public enum Labels {
    /** Every pixel has that of the shape it belongs to; a picture has up to three shapes. */
    PIXELS,
    /** The picture has that of its only shape. */
    PICTURE
  }

  private final Labels labels;
  private final int edge;
  private final int batch;
  private final int microBatches;
  private final long seed;

  /** Square pictures with the class of every pixel. */
  public SyntheticImages(int edge, int batch, int microBatches, long seed) {
    this(Labels.PIXELS, edge, batch, microBatches, seed);
  }

  /**
   * Square pictures.
   *
   * @param labels what has a class
   * @param edge their size in pixels
   * @param batch pictures per step, over all micro-batches
   * @param microBatches parts of a step's pictures
   * @param seed two seeds give other pictures
   * @throws UserException if a number is below 1
   */
  public SyntheticImages(Labels labels, int edge, int batch, int microBatches, long seed) {
    if (edge < 1 || batch < 1 || microBatches < 1) {
      throw new UserException(
          "expected at least 1 for each of image, batch and micro-batches, found %d, %d and %d"
              .formatted(edge, batch, microBatches));
    }
    this.labels = labels;
    this.edge = edge;
    this.batch = batch;
    this.microBatches = microBatches;
    this.seed = seed;
  }

  @Override
  public int batch() {
    return batch;
  }

  @Override
  public int microBatches() {
    return microBatches;
  }

  @Override
  public long inputBytes() {
    return pixels() * microBatchRows() * Float.BYTES;
  }

  @Override
  public long targetBytes() {
    return labelsOfRow() * microBatchRows() * Long.BYTES;
  }

  private long pixels() {
    return (long) edge * edge;
  }

  private long labelsOfRow() {
    return switch (labels) {
      case PIXELS -> pixels();
      case PICTURE -> 1;
    };
  }

  /**
   * Writes one micro-batch.
   *
   * @param inputs f32[micro-batch rows, 1, edge, edge], dense; zeros where a row is beyond the
   *     batch
   * @param targets i64[micro-batch rows, edge, edge], or i64[micro-batch rows], dense; the ignored
   *     target where a row is beyond the batch
   */
  @Override
  public void fill(long step, int microBatch, MemorySegment inputs, MemorySegment targets) {
    if (microBatch < 0 || microBatch >= microBatches) {
      throw new IndexOutOfBoundsException("micro-batch " + microBatch + " of " + microBatches);
    }
    int first = microBatch * microBatchRows();
    for (int row = 0; row < microBatchRows(); row++) {
      if (first + row < batch) {
        draw(KeyedPermutation.mix(seed, step * batch + first + row), row, inputs, targets);
      } else {
        leaveOut(row, inputs, targets, IGNORED);
      }
    }
  }

  /** Batches of as many rows as a micro-batch's that hold all held-out pictures. */
  public int heldOutBatches() {
    return Math.ceilDiv(HELD_OUT, microBatchRows());
  }

  /**
   * Writes held-out pictures, one micro-batch's rows of them.
   *
   * @param batch counted from 0
   * @param inputs as {@link #fill}'s; zeros where a row is too many
   * @param targets likewise; the ignored target where a row is too many
   * @param ignoredTarget the class that does not count
   */
  public void fillHeldOut(
      int batch, MemorySegment inputs, MemorySegment targets, long ignoredTarget) {
    for (int row = 0; row < microBatchRows(); row++) {
      int number = batch * microBatchRows() + row;
      if (number < HELD_OUT) {
        draw(KeyedPermutation.mix(seed ^ HELD_OUT_KEY, number), row, inputs, targets);
      } else {
        leaveOut(row, inputs, targets, ignoredTarget);
      }
    }
  }

  private void leaveOut(int row, MemorySegment inputs, MemorySegment targets, long ignoredTarget) {
    for (long pixel = row * pixels(); pixel < (row + 1) * pixels(); pixel++) {
      inputs.setAtIndex(ValueLayout.JAVA_FLOAT, pixel, 0);
    }
    for (long at = row * labelsOfRow(); at < (row + 1) * labelsOfRow(); at++) {
      targets.setAtIndex(ValueLayout.JAVA_LONG, at, ignoredTarget);
    }
  }

  /**
   * A shape.
   *
   * @param kind its class
   * @param x of its centre, in pixels
   * @param y likewise
   * @param reach from the centre to its rim, in pixels
   * @param brightness of its pixels
   */
  private record Figure(int kind, double x, double y, double reach, double brightness) {
    static Figure of(SplittableRandom random, int edge) {
      return new Figure(
          1 + random.nextInt(CLASSES - 1),
          edge * random.nextDouble(),
          edge * random.nextDouble(),
          edge * (0.1 + 0.15 * random.nextDouble()),
          0.7 + 0.6 * random.nextDouble());
    }

    boolean covers(double atX, double atY) {
      double right = atX - x;
      double down = atY - y;
      return switch (kind) {
        case 1 -> right * right + down * down <= reach * reach;
        case 2 -> Math.max(Math.abs(right), Math.abs(down)) <= 0.9 * reach;
        default -> Math.abs(down) <= reach && 2 * Math.abs(right) <= down + reach;
      };
    }
  }

  private void draw(long key, int row, MemorySegment inputs, MemorySegment targets) {
    var random = new SplittableRandom(key);
    int shapes = labels == Labels.PICTURE ? 1 : 1 + random.nextInt(MOST_SHAPES);
    Figure[] figures = new Figure[shapes];
    for (int i = 0; i < figures.length; i++) {
      figures[i] = Figure.of(random, edge);
    }
    long pixel = row * pixels();
    for (int y = 0; y < edge; y++) {
      for (int x = 0; x < edge; x++) {
        double brightness = NOISE * random.nextGaussian();
        int kind = 0;
        for (Figure figure : figures) {
          if (kind == 0 && figure.covers(x, y)) {
            kind = figure.kind();
            brightness += figure.brightness();
          }
        }
        inputs.setAtIndex(ValueLayout.JAVA_FLOAT, pixel, (float) brightness);
        if (labels == Labels.PIXELS) {
          targets.setAtIndex(ValueLayout.JAVA_LONG, pixel, kind);
        }
        pixel++;
      }
    }
    if (labels == Labels.PICTURE) {
      targets.setAtIndex(ValueLayout.JAVA_LONG, row, figures[0].kind());
    }
  }
}
