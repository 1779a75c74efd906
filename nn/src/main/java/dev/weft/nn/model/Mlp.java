package dev.weft.nn.model;

import static dev.weft.nn.layer.Layers.count;
import static dev.weft.nn.layer.Layers.linear;

import dev.weft.core.cluster.UserException;
import dev.weft.core.op.CrossEntropy;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;

/**
 * A classifier of feature rows: layers of rectified units, then one linear layer.
 *
 * @param hidden the width of the layers between
 * @param layers how many of these
 * @param classes what it tells apart
 */
public record Mlp(int hidden, int layers, int classes) {
  public Mlp {
    if (hidden < 1 || layers < 0 || classes < 1) {
      throw new UserException(
          "a classifier needs hidden and classes of at least 1 and layers of at least 0, found "
              + hidden
              + ", "
              + classes
              + " and "
              + layers);
    }
  }

  /** The logits [n, classes] of features [n, width]. */
  public Tensor logits(Scope m, Tensor features) {
    Tensor x = features;
    for (int layer = 0; layer < layers; layer++) {
      x = linear(m.at("layer" + layer), x, hidden, spread(2, x)).relu();
    }
    return linear(m.at("head"), x, classes, spread(1, x));
  }

  /** The loss of features [n, width] with labels i64 [n]. */
  public Loss loss(Scope m, Tensor features, Tensor labels) {
    var entropy = new CrossEntropy(TokenModel.IGNORED);
    return new Loss(
        Tensor.one(entropy, logits(m, features), labels).sum(), count(labels, TokenModel.IGNORED));
  }

  /** Keeps the size of activations through a layer (He et al., Delving Deep into Rectifiers). */
  private static Initializer spread(double gain, Tensor x) {
    return Initializer.normal(Math.sqrt(gain / x.size(-1)));
  }
}
