package dev.weft.nn.model;

import static dev.weft.core.cluster.DimSpec.WHOLE;
import static dev.weft.nn.layer.Layers.batchNorm;
import static dev.weft.nn.layer.Layers.count;
import static dev.weft.nn.layer.Layers.linear;
import static dev.weft.nn.layer.Layers.unbiasedConvolution;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.op.ArgMax;
import dev.weft.core.op.CrossEntropy;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import java.util.LinkedHashMap;
import java.util.List;

/**
 * Tells the class of a picture: three stages of residual blocks, each stage of half the resolution
 * and twice the channels of the one before (He et al., Deep Residual Learning for Image
 * Recognition, section 4.2; where a block halves the picture its shortcut is a projection). It
 * normalises over batches. Equal blocks of a stage are traced once.
 *
 * <p>Split over the mesh axes {@code data}, for pictures, and {@code space}, for rows of pixels.
 *
 * @param channels of the first stage
 * @param blocks in each stage: 6 blocks + 2 layers have weights
 * @param classes what it tells apart
 */
public record Resnet(int channels, int blocks, int classes) {
  /** The name of what share of pictures is told right. */
  public static final String ACCURACY = "accuracy";

  private static final int STAGES = 3;

  public Resnet {
    if (channels < 1 || blocks < 1 || classes < 1) {
      throw new UserException(
          "a ResNet needs channels, blocks and classes of at least 1, found %d, %d and %d"
              .formatted(channels, blocks, classes));
    }
  }

  /** The logits [n, classes] of pictures [n, channels, height, width]. */
  public Tensor logits(Scope m, Tensor images) {
    Tensor x = images.shard("data", WHOLE, "space", WHOLE);
    x = batchNorm(m.at("stem_norm"), unbiasedConvolution(m.at("stem"), x, channels, 3, 1)).relu();
    for (int stage = 0; stage < STAGES; stage++) {
      Scope scope = m.at("stage" + stage);
      long width = (long) channels << stage;
      int equal = blocks;
      if (stage > 0) {
        x = block(scope.at("down"), x, width, 2);
        equal--;
      }
      if (equal > 0) {
        x = scope.repeat("h", equal, x, (layer, h) -> block(layer, h, width, 1));
      }
    }
    Tensor seen = x.mean(List.of(2, 3));
    double deviation = 1 / Math.sqrt(seen.size(1));
    return linear(m.at("head"), seen, classes, Initializer.normal(deviation));
  }

  private static Tensor block(Scope m, Tensor x, long width, int stride) {
    Tensor first =
        batchNorm(m.at("norm1"), unbiasedConvolution(m.at("conv1"), x, width, 3, stride)).relu();
    Tensor second =
        batchNorm(m.at("norm2"), unbiasedConvolution(m.at("conv2"), first, width, 3, 1));
    Tensor shortcut =
        stride == 1
            ? x
            : batchNorm(
                m.at("shortcut_norm"), unbiasedConvolution(m.at("shortcut"), x, width, 1, stride));
    return shortcut.plus(second).relu();
  }

  /**
   * The loss of a batch, and how many pictures are told right.
   *
   * @param images [n, channels, height, width]
   * @param labels i64 [n], the class of each picture, or {@link TokenModel#IGNORED}
   */
  public Loss loss(Scope m, Tensor images, Tensor labels) {
    Tensor logits = logits(m, images);
    Tensor losses = Tensor.one(new CrossEntropy(TokenModel.IGNORED), logits, labels);
    Tensor right = Tensor.one(new ArgMax(1), logits).equalTo(labels).cast(DataType.F32).sum();
    var measures = new LinkedHashMap<String, Tensor>();
    measures.put(ACCURACY, right);
    return new Loss(losses.sum(), count(labels, TokenModel.IGNORED), measures);
  }
}
