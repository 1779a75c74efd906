package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.List;
import java.util.Map;

/**
 * Attention of one query to the places of a cache up to its own, as the decoding of a token has it.
 * Inputs: the query [h, 1, d], keys and values [h, t, d], and the query's place (i64 scalar, from 0
 * to t - 1), known only when it runs. Output: [h, 1, d]. Scores and their softmax are f32 for
 * narrower types.
 *
 * @param scale what scores are multiplied by
 */
public record CachedAttention(double scale) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          CachedAttention.class,
          Example.of(
              new CachedAttention(0.5),
              Example.f32(2, 1, 4),
              Example.f32(2, 5, 4),
              Example.f32(2, 5, 4),
              Example.indices(5)),
          Example.of(
              new CachedAttention(0.25),
              Example.f32(3, 1, 16),
              Example.f32(3, 7, 16),
              Example.f32(3, 7, 16),
              Example.indices(7)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 4);
    for (int i = 0; i < 3; i++) {
      Check.rank(this, inputs, i, 3);
      Check.isFloat(this, inputs, i);
    }
    TensorType query = inputs.getFirst();
    Check.require(query.size(1) == 1, this, inputs, "argument 0 must be one query, [h, 1, d]");
    Check.type(this, inputs, 1, query.with(query.shape().with(1, inputs.get(1).size(1))));
    Check.type(this, inputs, 2, inputs.get(1));
    Check.type(this, inputs, 3, TensorType.scalar(DataType.I64));
    return List.of(query);
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    List<String> h = List.of("h");
    List<String> d = List.of("d");
    List<String> place = List.of("t");
    List<String> one = List.of("s");
    return new Factors(
        List.of(List.of(h, one, d), List.of(h, place, d), List.of(h, place, d), List.of()),
        List.of(List.of(h, one, d)),
        Map.of(
            "s", Factors.Mark.WHOLE,
            "t", Factors.Mark.WHOLE,
            "d", Factors.Mark.WHOLE));
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    double flops = 4.0 * inputs.get(1).elements();
    return Cost.streaming(flops, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    DataType dtype = inputs.getFirst().dtype();
    if (kind != DeviceKind.CPU || dtype != DataType.F32 && dtype != DataType.BF16) {
      return List.of();
    }
    return List.of(Kernel.of("weft::cached_attention(y0, x0, x1, x2, x3, %s)".formatted(scale)));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor query = inputs.get(0);
    Tensor keys = inputs.get(1);
    Tensor scores = query.times(scale).matmul(keys.transposed());
    Shape row = Shape.of(keys.size(1));
    Tensor places = Tensor.iota(query.builder(), new TensorType(DataType.I64, row), 0);
    Tensor seen = inputs.get(3).broadcast(row, List.of()).greaterOrEqual(places);
    Tensor masked =
        Tensor.where(
            seen.broadcast(scores.shape(), List.of(2)),
            scores,
            scores.filled(Double.NEGATIVE_INFINITY));
    Tensor weights = masked.cast(CrossEntropy.wide(query.dtype())).softmax(-1);
    return List.of(weights.cast(query.dtype()).matmul(inputs.get(2)));
  }
}
