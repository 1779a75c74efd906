package dev.weft.nn.model;

import static dev.weft.core.cluster.DimSpec.WHOLE;
import static dev.weft.nn.layer.Layers.attention;
import static dev.weft.nn.layer.Layers.count;
import static dev.weft.nn.layer.Layers.dropout;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.LayerNorm;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import dev.weft.nn.layer.Layers;
import java.util.List;

/**
 * A decoder of nothing but matrices, as models are whose size is told by 4 H H + 2 H F for each
 * layer and 2 V H (Huang et al., GPipe, section 3): no biases, normalisation without parameters,
 * positions as waves (Vaswani et al., Attention Is All You Need, section 3.5), rectified second
 * sub-layers, and a head of its own.
 *
 * <p>Mesh axes that its annotations name: {@code data} splits the batch, {@code model} heads, inner
 * widths and the vocabulary, {@code sequence} the context.
 */
public final class Transformer implements TokenModel {
  private static final double LONGEST_WAVE = 10_000;
  private static final Initializer START = Initializer.normal(Decoder.DEVIATION);

  @Override
  public Loss loss(Scope m, ModelConfig c, Tensor tokens, Tensor targets) {
    Tensor table =
        m.parameter("embedding", START, c.vocabulary(), c.hidden()).shard("model", WHOLE);
    Tensor x = table.embedding(tokens.shard("data", "sequence"));
    x = stream(x.plus(waves(x, c)));
    x = dropout(m.at("drop"), x, c.dropout());
    x = m.repeat("h", c.layers(), x, (scope, h) -> block(scope, c, h));
    Tensor head = m.parameter("head", START, c.vocabulary(), c.hidden()).shard("model", WHOLE);
    long rows = targets.shape().elements();
    Tensor normal = normal(x).reshape(rows, c.hidden());
    Tensor flat = targets.shard("data", "sequence").reshape(rows);
    var op = new LinearCrossEntropy(Decoder.chunkRows(c), IGNORED);
    return new Loss(Tensor.one(op, normal, head, flat), count(flat, IGNORED));
  }

  private static Tensor block(Scope m, ModelConfig c, Tensor x) {
    Tensor qkv =
        times(m, "qkv", normal(x), 3L * c.hidden(), START, WHOLE, "model")
            .rearrange("b s (h three d) -> three b h s d", c.heads(), 3);
    Tensor joined =
        attention(qkv.at(0), qkv.at(1), qkv.at(2), true).rearrange("b h s d -> b s (h d)");
    Tensor projected = times(m, "proj", joined, c.hidden(), Decoder.residual(c), "model", WHOLE);
    Tensor y = stream(x.plus(dropout(m.at("proj_drop"), projected, c.dropout())));
    Tensor up = times(m, "up", normal(y), c.inner(), START, WHOLE, "model").relu();
    Tensor down = times(m, "down", up, c.hidden(), Decoder.residual(c), "model", WHOLE);
    return stream(y.plus(dropout(m.at("down_drop"), down, c.dropout())));
  }

  private static Tensor times(
      Scope m, String name, Tensor x, long out, Initializer start, Object rows, Object columns) {
    return x.matmul(m.parameter(name, start, x.size(-1), out).shard(rows, columns));
  }

  private static Tensor normal(Tensor x) {
    Shape width = Shape.of(x.size(-1));
    Tensor scale = x.scalar(1).broadcast(width, List.of());
    Tensor shift = x.scalar(0).broadcast(width, List.of());
    return Tensor.apply(new LayerNorm(Layers.EPSILON), List.of(x, scale, shift)).getFirst();
  }

  private static Tensor stream(Tensor x) {
    return x.shard("data", "sequence", WHOLE);
  }

  /** [sequence, hidden]: sines in the first half, cosines in the second, ever longer waves. */
  private static Tensor waves(Tensor x, ModelConfig c) {
    long half = Math.ceilDiv(c.hidden(), 2);
    TensorType type = TensorType.of(DataType.I64, x.size(1), half);
    Tensor place = Tensor.iota(x.builder(), type, 0).cast(x.dtype());
    Tensor wave = Tensor.iota(x.builder(), type, 1).cast(x.dtype());
    Tensor angle = place.times(wave.times(-Math.log(LONGEST_WAVE) / half).exp());
    return Tensor.concat(1, List.of(angle.sin(), angle.cos())).slice(1, 0, c.hidden());
  }
}
