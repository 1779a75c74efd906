package dev.weft.nn.model;

import static dev.weft.core.cluster.DimSpec.WHOLE;

import dev.weft.core.graph.DataType;
import dev.weft.core.op.Cumsum;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.OneHot;
import dev.weft.core.op.Tensor;
import dev.weft.core.op.TopK;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import java.util.List;

/**
 * Experts that tokens are sent to, each to two (Lepikhin et al., GShard, section 2.2 and algorithm
 * 1; second choices are always made). Tokens compete for places within their group, a sequence,
 * whatever the mesh: first choices before second ones, earlier tokens before later ones. Over the
 * mesh axis {@code expert} lie the groups, and the experts: between them tokens go to their experts
 * and back, all to all.
 *
 * @param output [groups, tokens, width]; zeros for a token that found no place
 * @param balance [groups]: experts x sum over experts of (share of the first choices x mean gate),
 *     1 where all get the same (Fedus et al., Switch Transformers, section 2.2)
 */
record Mixture(Tensor output, Tensor balance) {
  /** Mesh axes that groups are split over. */
  static final String GROUPS = "data,expert";

  /**
   * Where tokens go.
   *
   * @param dispatch [groups, tokens, experts, places], 1 where a token has a place
   * @param combine the same, with the token's gates instead of 1
   * @param balance [groups]
   */
  record Routing(Tensor dispatch, Tensor combine, Tensor balance) {
    /**
     * Finds places.
     *
     * @param gates [groups, tokens, experts], what each token gives to each expert
     * @param capacity places of an expert for each group
     */
    static Routing of(Tensor gates, long capacity) {
      long groups = gates.size(0);
      long tokens = gates.size(1);
      long experts = gates.size(2);
      int choices = Experts.CHOICES;
      List<Tensor> top = Tensor.apply(new TopK(2, choices), List.of(gates));
      Tensor weights = top.get(0).dividedBy(top.get(0).sum(List.of(2)).alongside(top.get(0), 2));
      // All first choices stand before the second ones, so that counting finds their places.
      Tensor choice = top.get(1).rearrange("g s k -> g (k s)");
      Tensor chosen = Tensor.one(new OneHot(experts, DataType.I64), choice);
      Tensor running = Tensor.one(new Cumsum(1, false), chosen);
      Tensor place = running.times(chosen).sum(List.of(2)).minus(1);
      // A place beyond the capacity is a row of zeros.
      Tensor slots =
          Tensor.one(new OneHot(capacity, gates.dtype()), place)
              .reshape(groups, choices, tokens, capacity);
      Tensor to = chosen.cast(gates.dtype()).reshape(groups, choices, tokens, experts);
      Tensor given =
          to.times(weights.rearrange("g s k -> g k s").broadcast(to.shape(), List.of(0, 1, 2)));
      Tensor share = to.slice(1, 0, 1).reshape(gates.shape()).mean(List.of(1));
      return new Routing(
          Tensor.einsum("gkse,gksc->gsec", to, slots),
          Tensor.einsum("gkse,gksc->gsec", given, slots),
          share.times(gates.mean(List.of(1))).sum(List.of(1)).times(experts));
    }
  }

  /**
   * The layer with its parameters.
   *
   * @param x [groups, tokens, width]
   * @param inner the width within an expert
   * @param down how the experts' second weights start
   */
  static Mixture of(Scope m, Tensor x, int experts, long capacity, long inner, Initializer down) {
    long width = x.size(2);
    Initializer start = Initializer.normal(Decoder.DEVIATION);
    Tensor router = m.at("router").parameter("weight", start, width, experts);
    Routing routing = Routing.of(x.matmul(router).softmax(-1), capacity);
    Scope e = m.at("experts");
    Tensor up = e.parameter("up", start, experts, width, inner).shard("expert", WHOLE, "model");
    Tensor back = e.parameter("down", down, experts, inner, width).shard("expert", "model", WHOLE);
    Tensor sent = Tensor.einsum("gsec,gsm->egcm", routing.dispatch, x);
    Tensor hidden = Tensor.einsum("egcm,emh->egch", toExperts(sent), up).gelu(Gelu.Form.TANH);
    Tensor result = toGroups(Tensor.einsum("egch,ehm->egcm", hidden, back));
    return new Mixture(Tensor.einsum("gsec,egcm->gsm", routing.combine, result), routing.balance);
  }

  /** [experts, groups, places, width], split by groups, becomes split by experts. */
  private static Tensor toExperts(Tensor x) {
    return x.shard(WHOLE, GROUPS, WHOLE, WHOLE).shard("expert", "data", WHOLE, WHOLE);
  }

  private static Tensor toGroups(Tensor x) {
    return x.shard("expert", "data", WHOLE, WHOLE).shard(WHOLE, GROUPS, WHOLE, WHOLE);
  }
}
