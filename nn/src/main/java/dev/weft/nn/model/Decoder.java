package dev.weft.nn.model;

import static dev.weft.core.cluster.DimSpec.WHOLE;
import static dev.weft.nn.layer.Layers.attention;
import static dev.weft.nn.layer.Layers.count;
import static dev.weft.nn.layer.Layers.dropout;
import static dev.weft.nn.layer.Layers.layerNorm;
import static dev.weft.nn.layer.Layers.linear;

import dev.weft.core.graph.DataType;
import dev.weft.core.op.CachedAttention;
import dev.weft.core.op.DynamicSlice;
import dev.weft.core.op.DynamicUpdateSlice;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * What decoder-only transformers share: normalisation before each sub-layer, learned positions and
 * the token table as the head (Radford et al., Language Models are Unsupervised Multitask
 * Learners).
 *
 * <p>Split over a mesh as Megatron-LM does (Shoeybi et al., section 3): the first weight of each
 * sub-layer by columns over {@code model}, the second by rows, the token table by the vocabulary;
 * what goes from sub-layer to sub-layer over the batch, and over {@code sequence} where the mesh
 * has that axis.
 *
 * @param batch the mesh axes that the batch is split over
 * @param rounds the blocks of a round of equal layers
 */
record Decoder(String batch, Function<ModelConfig, List<Block>> rounds) {
  static final double DEVIATION = 0.02;

  /** The most bytes of logits at a time, as f32. */
  private static final long CHUNK_BYTES = 112L << 20;

  /** A sub-layer with its residual: [batch, sequence, hidden] to the same. */
  @FunctionalInterface
  interface FeedForward {
    Tensor apply(Scope m, ModelConfig config, Tensor x);
  }

  /**
   * One of the layers of a round.
   *
   * @param name of its scope in the round's; empty for the round's own
   * @param feedForward its second sub-layer
   */
  record Block(String name, FeedForward feedForward) {
    Scope scope(Scope round) {
      return name.isEmpty() ? round : round.at(name);
    }
  }

  /** What a block does with its place in the caches, [heads, sequence, d]. */
  @FunctionalInterface
  private interface Cached {
    List<Tensor> apply(Scope m, FeedForward feedForward, Tensor x, Tensor keys, Tensor values);
  }

  /** A value [batch, sequence, hidden] between sub-layers, split over the mesh. */
  Tensor stream(Tensor x) {
    return x.shard(batch, "sequence", WHOLE);
  }

  /** Tokens [batch, sequence] as vectors, with their positions. */
  Tensor embed(Scope m, ModelConfig c, Tensor tokens) {
    Tensor places = positions(m, c).slice(0, 0, tokens.size(1));
    Tensor split = tokens.shard(batch, "sequence");
    return stream(table(m, c).embedding(split).plus(places));
  }

  private static Tensor table(Scope m, ModelConfig c) {
    return m.parameter("wte", Initializer.normal(DEVIATION), c.vocabulary(), c.hidden())
        .shard("model", WHOLE);
  }

  private static Tensor positions(Scope m, ModelConfig c) {
    return m.parameter("wpe", Initializer.normal(DEVIATION), c.sequence(), c.hidden());
  }

  /** The loss of what the last block gives. */
  Loss loss(Scope m, ModelConfig c, Tensor x, Tensor targets) {
    long rows = targets.shape().elements();
    Tensor normal = layerNorm(m.at("ln_f"), x).reshape(rows, c.hidden());
    Tensor flat = targets.shard(batch, "sequence").reshape(rows);
    var op = new LinearCrossEntropy(chunkRows(c), TokenModel.IGNORED);
    return new Loss(Tensor.one(op, normal, table(m, c), flat), count(flat, TokenModel.IGNORED));
  }

  static int chunkRows(ModelConfig c) {
    return (int) Math.clamp(CHUNK_BYTES / (4L * c.vocabulary()), 64, 1 << 20);
  }

  /** A second sub-layer that is the same for all tokens. */
  Tensor dense(Scope m, ModelConfig c, Tensor x) {
    Tensor normal = layerNorm(m.at("ln_2"), x);
    Initializer first = Initializer.normal(DEVIATION);
    Tensor up = linear(m.at("up"), normal, c.inner(), first, WHOLE, "model");
    Tensor active = up.gelu(Gelu.Form.TANH);
    Tensor down = linear(m.at("down"), active, c.hidden(), residual(c), "model", WHOLE);
    return stream(x.plus(dropout(m.at("down_drop"), down, c.dropout())));
  }

  /** The first sub-layer of a block. */
  Tensor attend(Scope m, ModelConfig c, Tensor x) {
    Tensor qkv = queriesKeysValues(m, c, x);
    return attended(m, c, x, attention(qkv.at(0), qkv.at(1), qkv.at(2), true));
  }

  /**
   * Heads stand outermost in the fused projection, so that a split of its columns keeps them whole:
   * its columns are, head by head, the query's, the key's and the value's. So they lie in
   * checkpoints, too.
   */
  private static Tensor queriesKeysValues(Scope m, ModelConfig c, Tensor x) {
    Tensor normal = layerNorm(m.at("ln_1"), x);
    Initializer weight = Initializer.normal(DEVIATION);
    return linear(m.at("qkv"), normal, 3L * c.hidden(), weight, WHOLE, "model")
        .rearrange("b s (h three d) -> three b h s d", c.heads(), 3);
  }

  private Tensor attended(Scope m, ModelConfig c, Tensor x, Tensor a) {
    Tensor joined = a.rearrange("b h s d -> b s (h d)");
    Tensor projected = linear(m.at("proj"), joined, c.hidden(), residual(c), "model", WHOLE);
    return stream(x.plus(dropout(m.at("proj_drop"), projected, c.dropout())));
  }

  /** What adds to the residual stream starts smaller the more layers add to it. */
  static Initializer residual(ModelConfig c) {
    return Initializer.normal(DEVIATION / Math.sqrt(2.0 * c.layers()));
  }

  GenerativeModel.Continuation prefill(
      Scope m, ModelConfig c, Tensor tokens, Tensor last, GenerativeModel.Cache cache) {
    Tensor zero = m.constant(DataType.I64, 0);
    Scope.Round result =
        layers(
            m,
            c,
            embed(m, c, tokens),
            cache,
            (scope, feedForward, h, keys, values) -> {
              Tensor qkv = queriesKeysValues(scope, c, h);
              Tensor a = attention(qkv.at(0), qkv.at(1), qkv.at(2), true);
              return List.of(
                  feedForward.apply(scope, c, attended(scope, c, h, a)),
                  write(keys, qkv.at(1), zero),
                  write(values, qkv.at(2), zero));
            });
    Tensor row = Tensor.one(new DynamicSlice(1, 1), result.carried().getFirst(), last);
    return continuation(m, c, row, result);
  }

  GenerativeModel.Continuation decode(
      Scope m, ModelConfig c, Tensor token, Tensor position, GenerativeModel.Cache cache) {
    Tensor place = Tensor.one(new DynamicSlice(0, 1), positions(m, c), position);
    Scope.Round result =
        layers(
            m,
            c,
            table(m, c).embedding(token).plus(place),
            cache,
            (scope, feedForward, h, before, valuesBefore) -> {
              Tensor qkv = queriesKeysValues(scope, c, h);
              Tensor keys = write(before, qkv.at(1), position);
              Tensor values = write(valuesBefore, qkv.at(2), position);
              Tensor a = attendCached(qkv.at(0), keys, values, position);
              return List.of(feedForward.apply(scope, c, attended(scope, c, h, a)), keys, values);
            });
    return continuation(m, c, result.carried().getFirst(), result);
  }

  /** All layers with their places in the cache [layers, heads, sequence, d]. */
  private Scope.Round layers(
      Scope m, ModelConfig c, Tensor x, GenerativeModel.Cache cache, Cached cached) {
    List<Block> blocks = rounds.apply(c);
    int each = blocks.size();
    List<Tensor> caches = List.of(cache.keys(), cache.values());
    Scope.Round result =
        m.repeat(
            "h",
            c.layers() / each,
            List.of(x),
            caches.stream().map(t -> byRounds(t, each)).toList(),
            (scope, carried, slices) -> {
              Tensor h = carried.getFirst();
              var keys = new ArrayList<Tensor>();
              var values = new ArrayList<Tensor>();
              for (int i = 0; i < each; i++) {
                Block block = blocks.get(i);
                Tensor own = each == 1 ? slices.get(0) : slices.get(0).at(i);
                Tensor ownValues = each == 1 ? slices.get(1) : slices.get(1).at(i);
                List<Tensor> results =
                    cached.apply(block.scope(scope), block.feedForward(), h, own, ownValues);
                h = results.get(0);
                keys.add(results.get(1));
                values.add(results.get(2));
              }
              return new Scope.Round(List.of(h), List.of(joined(keys), joined(values)));
            });
    List<Tensor> whole =
        result.stacked().stream()
            .map(t -> each == 1 ? t : t.reshape(cache.keys().shape()))
            .toList();
    return new Scope.Round(result.carried(), whole);
  }

  /** [layers, ...] as [rounds, layers of a round, ...]. */
  private static Tensor byRounds(Tensor cache, int each) {
    return each == 1
        ? cache
        : cache.reshape(cache.shape().without(0).insert(0, each).insert(0, cache.size(0) / each));
  }

  /** The layers of a round one behind the other. */
  private static Tensor joined(List<Tensor> layers) {
    return layers.size() == 1
        ? layers.getFirst()
        : Tensor.concat(0, layers.stream().map(t -> t.reshape(t.shape().insert(0, 1))).toList());
  }

  /** Puts keys or values [1, heads, n, d] into a layer's cache [heads, sequence, d]. */
  private static Tensor write(Tensor cache, Tensor fresh, Tensor position) {
    return Tensor.one(new DynamicUpdateSlice(1), cache, fresh.at(0), position);
  }

  /** Attention of one query [1, heads, 1, d] to the cached places up to its own. */
  private static Tensor attendCached(Tensor query, Tensor keys, Tensor values, Tensor position) {
    var attention = new CachedAttention(1 / Math.sqrt(query.size(-1)));
    return Tensor.one(attention, query.at(0), keys, values, position).reshape(query.shape());
  }

  private static GenerativeModel.Continuation continuation(
      Scope m, ModelConfig c, Tensor x, Scope.Round result) {
    Tensor normal = layerNorm(m.at("ln_f"), x).reshape(1, c.hidden());
    Tensor logits = normal.matmul(table(m, c).transposed()).reshape(c.vocabulary());
    return new GenerativeModel.Continuation(
        logits, new GenerativeModel.Cache(result.stacked().get(0), result.stacked().get(1)));
  }
}
