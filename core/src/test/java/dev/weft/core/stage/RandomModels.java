package dev.weft.core.stage;

import dev.weft.core.cluster.Spec;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Dropout;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.Philox;
import dev.weft.core.op.RandomBits;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Trace;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.Random;

/**
 * Random models in f64 of data {@code x [4, 3]} and {@code targets [4]}: skips, weights that are
 * read in several places, repeats in repeats, dropout, cheap values and dear ones.
 */
final class RandomModels {
  private static final Initializer NORMAL = Initializer.normal(1);

  private final Random random;
  private final boolean annotated;
  private int sites;

  private RandomModels(long seed, boolean annotated) {
    this.random = new Random(seed);
    this.annotated = annotated;
  }

  /** Outputs: the sum of the loss, its weight. */
  static Traced trace(long seed) {
    return trace(seed, false);
  }

  /**
   * The same.
   *
   * @param annotated whether values are split over an axis {@code data} and weights over {@code
   *     model}
   */
  static Traced trace(long seed, boolean annotated) {
    var data = new LinkedHashMap<String, TensorType>();
    data.put("x", TensorType.of(DataType.F64, 4, 3));
    data.put("targets", TensorType.of(DataType.I64, 4));
    var models = new RandomModels(seed, annotated);
    return Trace.trace(
        "model",
        DataType.F64,
        true,
        data,
        (m, batch) ->
            models.model(
                m,
                Objects.requireNonNull(batch.get("x")),
                Objects.requireNonNull(batch.get("targets"))));
  }

  private List<Tensor> model(Scope m, Tensor x, Tensor targets) {
    var values = new ArrayList<Tensor>();
    values.add(marked(x, "[{data},{}]"));
    grow(m, values, 4 + random.nextInt(9), 2);
    Tensor last = values.getLast();
    Tensor loss;
    if (random.nextBoolean()) {
      var op = new LinearCrossEntropy(2, 0);
      loss = Tensor.one(op, last, weight(m, "w" + random.nextInt(3)), targets);
    } else {
      Tensor place = Tensor.iota(m.constant(DataType.F64, 0).builder(), last.type(), 1);
      loss = last.times(last).times(place.plus(1)).sum();
    }
    if (random.nextInt(3) == 0) {
      loss = loss.plus(pick(values).sin().sum());
    }
    return List.of(loss, targets.notEqualTo(0).cast(DataType.F64).sum());
  }

  private Tensor marked(Tensor tensor, String spec) {
    return annotated ? Tensor.one(new Shard(Spec.parse(spec)), tensor) : tensor;
  }

  private Tensor weight(Scope m, String name) {
    return marked(m.parameter(name, NORMAL, 3, 3), "[{model},{}]");
  }

  private Tensor pick(List<Tensor> values) {
    // Late values more often, early ones as skips.
    int back = Math.min(random.nextInt(values.size()), random.nextInt(values.size()));
    return values.get(values.size() - 1 - back);
  }

  private void grow(Scope m, List<Tensor> values, int nodes, int depth) {
    for (int i = 0; i < nodes; i++) {
      Tensor x = pick(values);
      values.add(
          switch (random.nextInt(12)) {
            case 0, 1 -> x.matmul(weight(m, "w" + random.nextInt(3)));
            case 2 -> x.plus(pick(values)).tanh();
            case 3 -> x.times(pick(values)).sin();
            case 4 -> x.gelu(Gelu.Form.TANH);
            case 5 -> x.plus(m.parameter("b" + random.nextInt(2), NORMAL, 3));
            case 6 -> dropout(m, x);
            case 7 -> marked(x.tanh().transposed().reshape(4, 3), "[{data},?]");
            case 8 -> x.softmax(1);
            case 9 -> x.plus(pick(values).sum(List.of(0)).sin());
            default -> depth > 0 ? repeat(m, "h" + sites++, values, depth) : x.exp().tanh();
          });
    }
  }

  private Tensor repeat(Scope m, String name, List<Tensor> values, int depth) {
    Tensor outer = pick(values);
    boolean captures = random.nextBoolean();
    if (random.nextInt(3) > 0) {
      return m.repeat(
          name,
          1 + random.nextInt(3),
          pick(values),
          (layer, h) -> {
            var inner = new ArrayList<Tensor>(captures ? List.of(outer, h) : List.of(h));
            grow(layer, inner, 1 + random.nextInt(5), depth - 1);
            return inner.getLast();
          });
    }
    Scope.Round result =
        m.repeat(
            name,
            3,
            List.of(pick(values), pick(values)),
            List.of(stack(pick(values))),
            (layer, carried, slices) -> {
              var inner = new ArrayList<>(carried);
              inner.addAll(slices);
              grow(layer, inner, 2 + random.nextInt(4), depth - 1);
              return new Scope.Round(
                  List.of(inner.getLast(), pick(inner)), List.of(pick(inner).tanh()));
            });
    Tensor sum = result.carried().get(random.nextInt(2));
    return sum.plus(result.stacked().getFirst().sum(List.of(0)));
  }

  private static Tensor stack(Tensor x) {
    Tensor rounds = x.broadcast(x.shape().insert(0, 3), List.of(1, 2));
    return rounds.times(Tensor.iota(x.builder(), rounds.type(), 0).plus(1));
  }

  private Tensor dropout(Scope m, Tensor x) {
    var site = new RandomBits(Philox.site(m.path() + sites++), Shape.of(4, 3));
    Tensor bits = Tensor.one(site, m.fact("seed"), m.fact("step"), m.layer(), m.fact("row"));
    return Tensor.one(new Dropout(0.4), x, bits);
  }
}
