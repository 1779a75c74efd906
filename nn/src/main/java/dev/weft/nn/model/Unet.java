package dev.weft.nn.model;

import static dev.weft.core.cluster.DimSpec.WHOLE;
import static dev.weft.nn.layer.Layers.convolution;
import static dev.weft.nn.layer.Layers.count;
import static dev.weft.nn.layer.Layers.groupNorm;
import static dev.weft.nn.layer.Layers.maxPool;
import static dev.weft.nn.layer.Layers.unbiasedConvolution;
import static dev.weft.nn.layer.Layers.upsample;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.op.ArgMax;
import dev.weft.core.op.Gather;
import dev.weft.core.op.LogSoftmax;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Scope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;

/**
 * Tells the class of every pixel: convolutions at ever coarser levels and back to finer ones, each
 * joined with what was seen at its own level on the way down (Ronneberger et al., U-Net). Groups of
 * channels are normalised, not batches; levels are as large as padding leaves them.
 *
 * <p>Split over the mesh axes {@code data}, for images, and {@code space}, for rows of pixels.
 *
 * @param channels of the finest level; every level below has twice as many
 * @param levels how often the image is halved
 * @param classes what it tells apart
 */
public record Unet(int channels, int levels, int classes) {
  /** The name of what share of pixels is told right. */
  public static final String PIXEL_ACCURACY = "pixel_accuracy";

  private static final int MOST_GROUPS = 8;

  public Unet {
    if (channels < 1 || levels < 0 || classes < 1) {
      throw new UserException(
          "a U-Net needs channels and classes of at least 1 and levels of at least 0, found "
              + channels
              + ", "
              + classes
              + " and "
              + levels);
    }
  }

  /**
   * The logits [n, classes, height, width] of images [n, channels, height, width].
   *
   * @throws UserException if the images cannot be halved so often
   */
  public Tensor logits(Scope m, Tensor images) {
    long factor = 1L << levels;
    if (images.size(2) % factor != 0 || images.size(3) % factor != 0) {
      throw new UserException(
          "images of %d x %d pixels cannot be halved %d times: choose sizes that are multiples of %d, or fewer layers"
              .formatted(images.size(2), images.size(3), levels, factor));
    }
    Tensor x = images.shard("data", WHOLE, "space", WHOLE);
    var seen = new ArrayList<Tensor>();
    for (int level = 0; level < levels; level++) {
      x = block(m.at("down" + level), x, width(level));
      seen.add(x);
      x = maxPool(x, 2);
    }
    x = block(m.at("bottom"), x, width(levels));
    for (int level = levels - 1; level >= 0; level--) {
      Tensor finer = convolution(m.at("widen" + level), upsample(x, 2), width(level), 3, 1);
      x =
          block(
              m.at("up" + level), Tensor.concat(1, List.of(seen.get(level), finer)), width(level));
    }
    return convolution(m.at("head"), x, classes, 1, 1);
  }

  private long width(int level) {
    return (long) channels << level;
  }

  private static Tensor block(Scope m, Tensor x, long width) {
    Tensor first = normal(m.at("norm1"), unbiasedConvolution(m.at("conv1"), x, width, 3, 1));
    return normal(m.at("norm2"), unbiasedConvolution(m.at("conv2"), first, width, 3, 1));
  }

  private static Tensor normal(Scope m, Tensor x) {
    long groups = Math.min(MOST_GROUPS, x.size(1));
    while (x.size(1) % groups != 0) {
      groups--;
    }
    return groupNorm(m, x, groups).relu();
  }

  /**
   * The loss of a batch, and the share of pixels that are told right.
   *
   * @param images [n, channels, height, width]
   * @param labels i64 [n, height, width], the class of each pixel, or {@link TokenModel#IGNORED}
   */
  public Loss loss(Scope m, Tensor images, Tensor labels) {
    Tensor logits = logits(m, images);
    Tensor counts = labels.notEqualTo(TokenModel.IGNORED);
    Tensor safe = Tensor.where(counts, labels, labels.filled(0));
    Tensor logarithms = Tensor.one(new LogSoftmax(1), logits);
    Tensor column = safe.reshape(labels.shape().insert(1, 1));
    Tensor picked = Tensor.one(new Gather(1), logarithms, column).reshape(labels.shape());
    Tensor losses = picked.times(counts.cast(picked.dtype())).negate();
    Tensor right = Tensor.one(new ArgMax(1), logits).equalTo(labels).cast(DataType.F32).sum();
    var measures = new LinkedHashMap<String, Tensor>();
    measures.put(PIXEL_ACCURACY, right);
    return new Loss(losses.sum(), count(labels, TokenModel.IGNORED), measures);
  }
}
