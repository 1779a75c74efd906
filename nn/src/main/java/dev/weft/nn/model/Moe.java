package dev.weft.nn.model;

import static dev.weft.nn.layer.Layers.dropout;
import static dev.weft.nn.layer.Layers.layerNorm;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Shape;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Scope;
import java.util.ArrayList;
import java.util.List;

/**
 * A decoder-only transformer whose second sub-layers, or every second, third ... of them, are
 * mixtures of experts. Training adds to the loss of each token the balance of its sequence,
 * weighted, so that micro-batches change nothing; evaluation does not. Generation passes no token
 * by.
 *
 * <p>Mesh axes that its annotations name: {@code expert} splits experts and, where tokens are not
 * at their experts, the batch; {@code data} the batch; {@code model} heads, inner widths and the
 * vocabulary; {@code sequence} the context.
 */
public final class Moe implements GenerativeModel {
  private static final Decoder DECODER =
      new Decoder(
          Mixture.GROUPS,
          c -> blocks(c, (m, config, x) -> mixture(m, config, x, x.size(1)).output()));

  /** The layers of a round: dense ones, then one with experts. */
  private static List<Decoder.Block> blocks(ModelConfig c, Decoder.FeedForward sparse) {
    int each = c.experts().every();
    if (c.layers() % each != 0) {
      throw new UserException(
          "layers must be a multiple of expert-every, found " + c.layers() + " and " + each);
    }
    var blocks = new ArrayList<Decoder.Block>();
    for (int i = 0; i < each - 1; i++) {
      blocks.add(new Decoder.Block("dense" + i, (m, config, x) -> DECODER.dense(m, config, x)));
    }
    blocks.add(new Decoder.Block(each == 1 ? "" : "sparse", sparse));
    return blocks;
  }

  @Override
  public Loss loss(Scope m, ModelConfig c, Tensor tokens, Tensor targets) {
    long capacity = c.experts().capacity(tokens.size(1));
    Tensor x = DECODER.embed(m, c, tokens);
    x = dropout(m.at("drop"), x, c.dropout());
    Tensor none = m.constant(x.dtype(), 0).broadcast(Shape.of(tokens.size(0)), List.of());
    // Only the last block of a round has experts: it leaves its balance here.
    var balances = new ArrayList<Tensor>();
    List<Decoder.Block> blocks =
        blocks(
            c,
            (scope, config, h) -> {
              Mixture mixture = mixture(scope, config, h, capacity);
              balances.add(mixture.balance());
              return mixture.output();
            });
    List<Tensor> result =
        m.repeat(
                "h",
                c.layers() / blocks.size(),
                List.of(x, none),
                List.of(),
                (scope, carried, _) -> {
                  Tensor h = carried.get(0);
                  for (Decoder.Block block : blocks) {
                    Scope own = block.scope(scope);
                    h = block.feedForward().apply(own, c, DECODER.attend(own, c, h));
                  }
                  return new Scope.Round(
                      List.of(h, carried.get(1).plus(balances.getLast())), List.of());
                })
            .carried();
    Loss loss = DECODER.loss(m, c, result.get(0), targets);
    if (!m.training()) {
      return loss;
    }
    Tensor balance = result.get(1);
    Tensor counts = targets.notEqualTo(IGNORED).cast(balance.dtype()).sum(List.of(1));
    Tensor penalty = balance.times(counts).sum().times(c.experts().balanceWeight());
    return new Loss(loss.sum().plus(penalty), loss.weight());
  }

  /** The second sub-layer of a block with its residual. */
  private static Mixture mixture(Scope m, ModelConfig c, Tensor x, long capacity) {
    Tensor normal = layerNorm(m.at("ln_2"), x);
    Mixture mixture =
        Mixture.of(m, normal, c.experts().count(), capacity, c.inner(), Decoder.residual(c));
    Tensor dropped = dropout(m.at("experts_drop"), mixture.output(), c.dropout());
    return new Mixture(DECODER.stream(x.plus(dropped)), mixture.balance());
  }

  @Override
  public Continuation prefill(Scope m, ModelConfig c, Tensor tokens, Tensor last, Cache cache) {
    return DECODER.prefill(m, c, tokens, last, cache);
  }

  @Override
  public Continuation decode(Scope m, ModelConfig c, Tensor token, Tensor position, Cache cache) {
    return DECODER.decode(m, c, token, position, cache);
  }
}
