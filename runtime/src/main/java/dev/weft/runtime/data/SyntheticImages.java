package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/**
 * Pictures of discs, squares and triangles of random place, size and brightness on noise, with the
 * class of every pixel, or of the one shape that they show: something to segment or to tell apart
 * that needs no download. Every picture is a pure function of the seed and its number. Brightness
 * does not tell shapes apart, only their outline does. Inputs are f32[rows, 1, edge, edge], targets
 * i64[rows, edge, edge] or i64[rows].
 */
public final class SyntheticImages extends SyntheticRows {
  /** Nothing, disc, square, triangle. */
  public static final int CLASSES = 4;

  /** Pictures to measure on. */
  public static final int HELD_OUT = 64;

  private static final int MOST_SHAPES = 3;
  private static final double NOISE = 0.3;

  /** What has a class. */
  public enum Labels {
    /** Every pixel has that of the shape it belongs to; a picture has up to three shapes. */
    PIXELS,
    /** The picture has that of its only shape. */
    PICTURE
  }

  private final Labels labels;
  private final int edge;

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
    super(batch, microBatches, seed, HELD_OUT);
    if (edge < 1 || batch < 1 || microBatches < 1) {
      throw new UserException(
          "expected at least 1 for each of image, batch and micro-batches, found %d, %d and %d"
              .formatted(edge, batch, microBatches));
    }
    this.labels = labels;
    this.edge = edge;
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

  @Override
  void leaveOut(int row, MemorySegment inputs, MemorySegment targets) {
    for (long pixel = row * pixels(); pixel < (row + 1) * pixels(); pixel++) {
      inputs.setAtIndex(ValueLayout.JAVA_FLOAT, pixel, 0);
    }
    for (long at = row * labelsOfRow(); at < (row + 1) * labelsOfRow(); at++) {
      targets.setAtIndex(ValueLayout.JAVA_LONG, at, IGNORED);
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

  @Override
  void draw(long key, int row, MemorySegment inputs, MemorySegment targets) {
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
