package dev.weft.nn.model;

import static dev.weft.nn.layer.Layers.attention;
import static dev.weft.nn.layer.Layers.count;
import static dev.weft.nn.layer.Layers.dropout;
import static dev.weft.nn.layer.Layers.layerNorm;
import static dev.weft.nn.layer.Layers.linear;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.DynamicSlice;
import dev.weft.core.op.DynamicUpdateSlice;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import java.util.List;

/**
 * A decoder-only transformer with normalisation before each sub-layer, learned positions and the
 * token table as the head (Radford et al., Language Models are Unsupervised Multitask Learners).
 */
public final class Gpt implements GenerativeModel {
  private static final double DEVIATION = 0.02;

  /** The most bytes of logits at a time, as f32. */
  private static final long CHUNK_BYTES = 112L << 20;

  @Override
  public Loss loss(Scope m, ModelConfig c, Tensor tokens, Tensor targets) {
    long rows = tokens.shape().elements();
    Tensor x = embed(m, c, tokens, positions(m, c).slice(0, 0, tokens.size(1)));
    x = dropout(m.at("drop"), x, c.dropout());
    x = m.repeat("h", c.layers(), x, (scope, h) -> block(scope, c, h));
    x = layerNorm(m.at("ln_f"), x).reshape(rows, c.hidden());
    Tensor flat = targets.reshape(rows);
    Tensor sum = Tensor.one(new LinearCrossEntropy(chunkRows(c), IGNORED), x, table(m, c), flat);
    return new Loss(sum, count(flat, IGNORED));
  }

  private static int chunkRows(ModelConfig c) {
    return (int) Math.clamp(CHUNK_BYTES / (4L * c.vocabulary()), 64, 1 << 20);
  }

  private static Tensor table(Scope m, ModelConfig c) {
    return m.parameter("wte", Initializer.normal(DEVIATION), c.vocabulary(), c.hidden());
  }

  private static Tensor positions(Scope m, ModelConfig c) {
    return m.parameter("wpe", Initializer.normal(DEVIATION), c.sequence(), c.hidden());
  }

  private static Tensor embed(Scope m, ModelConfig c, Tensor tokens, Tensor positions) {
    return table(m, c).embedding(tokens).plus(positions);
  }

  private static Tensor block(Scope m, ModelConfig c, Tensor x) {
    Tensor qkv = queriesKeysValues(m, c, x);
    Tensor a = attention(qkv.at(0), qkv.at(1), qkv.at(2), true);
    return feedForward(m, c, attended(m, c, x, a));
  }

  /**
   * Heads stand outermost in the fused projection, so that a split of its columns keeps them whole.
   */
  private static Tensor queriesKeysValues(Scope m, ModelConfig c, Tensor x) {
    Tensor normal = layerNorm(m.at("ln_1"), x);
    return linear(m.at("qkv"), normal, 3L * c.hidden(), Initializer.normal(DEVIATION))
        .rearrange("b s (h three d) -> three b h s d", c.heads(), 3);
  }

  private static Tensor attended(Scope m, ModelConfig c, Tensor x, Tensor a) {
    Tensor joined = a.rearrange("b h s d -> b s (h d)");
    Tensor projected = linear(m.at("proj"), joined, c.hidden(), residual(c));
    return x.plus(dropout(m.at("proj_drop"), projected, c.dropout()));
  }

  private static Tensor feedForward(Scope m, ModelConfig c, Tensor x) {
    Tensor normal = layerNorm(m.at("ln_2"), x);
    Tensor up = linear(m.at("up"), normal, 4L * c.hidden(), Initializer.normal(DEVIATION));
    Tensor down = linear(m.at("down"), up.gelu(Gelu.Form.TANH), c.hidden(), residual(c));
    return x.plus(dropout(m.at("down_drop"), down, c.dropout()));
  }

  /** What adds to the residual stream starts smaller the more layers add to it. */
  private static Initializer residual(ModelConfig c) {
    return Initializer.normal(DEVIATION / Math.sqrt(2.0 * c.layers()));
  }

  @Override
  public Continuation prefill(Scope m, ModelConfig c, Tensor tokens, Tensor last, Cache cache) {
    Tensor x = embed(m, c, tokens, positions(m, c).slice(0, 0, tokens.size(1)));
    Tensor zero = m.constant(DataType.I64, 0);
    Scope.Round result =
        m.repeat(
            "h",
            c.layers(),
            List.of(x),
            List.of(cache.keys(), cache.values()),
            (scope, carried, slices) -> {
              Tensor h = carried.getFirst();
              Tensor qkv = queriesKeysValues(scope, c, h);
              Tensor a = attention(qkv.at(0), qkv.at(1), qkv.at(2), true);
              return new Scope.Round(
                  List.of(feedForward(scope, c, attended(scope, c, h, a))),
                  List.of(
                      write(slices.get(0), qkv.at(1), zero),
                      write(slices.get(1), qkv.at(2), zero)));
            });
    Tensor row = Tensor.one(new DynamicSlice(1, 1), result.carried().getFirst(), last);
    return continuation(m, c, row, result);
  }

  @Override
  public Continuation decode(Scope m, ModelConfig c, Tensor token, Tensor position, Cache cache) {
    Tensor place = Tensor.one(new DynamicSlice(0, 1), positions(m, c), position);
    Tensor x = embed(m, c, token, place);
    Scope.Round result =
        m.repeat(
            "h",
            c.layers(),
            List.of(x),
            List.of(cache.keys(), cache.values()),
            (scope, carried, slices) -> {
              Tensor h = carried.getFirst();
              Tensor qkv = queriesKeysValues(scope, c, h);
              Tensor keys = write(slices.get(0), qkv.at(1), position);
              Tensor values = write(slices.get(1), qkv.at(2), position);
              Tensor a = attendCached(qkv.at(0), keys, values, position);
              return new Scope.Round(
                  List.of(feedForward(scope, c, attended(scope, c, h, a))), List.of(keys, values));
            });
    return continuation(m, c, result.carried().getFirst(), result);
  }

  /** Puts keys or values [1, heads, n, d] into a layer's cache [heads, sequence, d]. */
  private static Tensor write(Tensor cache, Tensor fresh, Tensor position) {
    return Tensor.one(new DynamicUpdateSlice(1), cache, fresh.at(0), position);
  }

  /** Attention of one query [1, heads, 1, d] to the cached places up to its own. */
  private static Tensor attendCached(Tensor query, Tensor keys, Tensor values, Tensor position) {
    double scale = 1 / Math.sqrt(query.size(-1));
    Tensor scores = query.at(0).times(scale).matmul(keys.transposed());
    Shape row = Shape.of(keys.size(1));
    Tensor places = Tensor.iota(query.builder(), new TensorType(DataType.I64, row), 0);
    Tensor seen = position.broadcast(row, List.of()).greaterOrEqual(places);
    Tensor masked =
        Tensor.where(
            seen.broadcast(scores.shape(), List.of(2)),
            scores,
            scores.filled(Double.NEGATIVE_INFINITY));
    Tensor result = masked.softmax(-1).matmul(values);
    return result.reshape(query.shape());
  }

  private static Continuation continuation(Scope m, ModelConfig c, Tensor x, Scope.Round result) {
    Tensor normal = layerNorm(m.at("ln_f"), x).reshape(1, c.hidden());
    Tensor logits = normal.matmul(table(m, c).transposed()).reshape(c.vocabulary());
    return new Continuation(logits, new Cache(result.stacked().get(0), result.stacked().get(1)));
  }
}
