package dev.weft.nn.model;

import static dev.weft.core.cluster.DimSpec.WHOLE;
import static dev.weft.nn.layer.Layers.count;
import static dev.weft.nn.layer.Layers.linear;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.op.ArgMax;
import dev.weft.core.op.CrossEntropy;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import java.util.LinkedHashMap;

/**
 * A classifier of feature rows: layers of rectified units, then one linear layer.
 *
 * <p>Split over the mesh axes {@code data}, for rows, and {@code model}: the weights of every other
 * layer by columns, of those behind by rows, so that two layers come to one sum over devices.
 *
 * @param hidden the width of the layers between
 * @param layers how many of these
 * @param classes what it tells apart
 */
public record Mlp(int hidden, int layers, int classes) {
  /** The name of what share of rows is told right. */
  public static final String ACCURACY = "accuracy";

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
    Tensor x = features.shard("data", WHOLE);
    Object rows = WHOLE;
    for (int layer = 0; layer < layers; layer++) {
      Object columns = rows.equals(WHOLE) ? "model" : WHOLE;
      Tensor y = linear(m.at("layer" + layer), x, hidden, spread(2, x), rows, columns);
      x = y.shard("data", columns).relu();
      rows = columns;
    }
    return linear(m.at("head"), x, classes, spread(1, x), rows, WHOLE);
  }

  /** The loss of features [n, width] with labels i64 [n], and the share of rows told right. */
  public Loss loss(Scope m, Tensor features, Tensor labels) {
    Tensor logits = logits(m, features);
    var entropy = new CrossEntropy(TokenModel.IGNORED);
    Tensor right = Tensor.one(new ArgMax(1), logits).equalTo(labels).cast(DataType.F32).sum();
    var measures = new LinkedHashMap<String, Tensor>();
    measures.put(ACCURACY, right);
    return new Loss(
        Tensor.one(entropy, logits, labels).sum(), count(labels, TokenModel.IGNORED), measures);
  }

  /** Keeps the size of activations through a layer (He et al., Delving Deep into Rectifiers). */
  private static Initializer spread(double gain, Tensor x) {
    return Initializer.normal(Math.sqrt(gain / x.size(-1)));
  }
}
