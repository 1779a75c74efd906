package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;

/**
 * The gradient of {@link Attention}. Inputs: the result's cotangent, queries, keys, values, the
 * result, the logarithms of sums. Outputs: the gradients by queries, keys and values.
 *
 * @param causal whether query i sees only keys 0 to i
 * @param scale what scores are multiplied by
 */
public record AttentionGradient(boolean causal, double scale) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          AttentionGradient.class,
          Example.of(
              new AttentionGradient(true, 0.5),
              Example.f32(2, 2, 4, 8),
              Example.f32(2, 2, 4, 8),
              Example.f32(2, 2, 4, 8),
              Example.f32(2, 2, 4, 8),
              Example.f32(2, 2, 4, 8),
              Example.in(3, 6, TensorType.of(DataType.F32, 2, 2, 4))));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 6);
    for (int i = 0; i < 5; i++) {
      Check.rank(this, inputs, i, 4);
      Check.isFloat(this, inputs, i);
    }
    TensorType q = inputs.get(1);
    Check.type(this, inputs, 0, q);
    Check.type(this, inputs, 2, q.with(q.shape().with(2, inputs.get(2).size(2))));
    Check.type(this, inputs, 3, inputs.get(2));
    Check.type(this, inputs, 4, q);
    Check.type(this, inputs, 5, new TensorType(CrossEntropy.wide(q.dtype()), q.shape().without(3)));
    return inputs.subList(1, 4);
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.parse(
        "b h s! d!, b h s d, b h t! d, b h t d, b h s d, b h s -> b h s d, b h t d, b h t d");
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    double flops = 10.0 * inputs.getFirst().elements() * inputs.get(2).size(2);
    return Cost.streaming(causal ? flops / 2 : flops, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    if (kind != DeviceKind.CPU) {
      return List.of();
    }
    return List.of(
        Kernel.of(
                "shim::_scaled_dot_product_flash_attention_for_cpu_backward(x0, x1, x2, x3, x4, x5, 0.0, %b, none, &%s) -> y0, y1, y2"
                    .formatted(causal, scale))
            .withSerialBlas());
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor dy = inputs.get(0);
    Tensor q = inputs.get(1);
    Tensor k = inputs.get(2);
    Tensor v = inputs.get(3);
    DataType wide = CrossEntropy.wide(q.dtype());
    Tensor scores = Attention.scores(q, k, causal, scale).cast(wide);
    Tensor weights = scores.minus(inputs.get(5).alongside(scores, 3)).exp();
    Tensor narrow = weights.cast(q.dtype());
    Tensor dv = narrow.transposed().matmul(dy);
    Tensor dweights = dy.matmul(v.transposed()).cast(wide);
    Tensor total =
        dy.cast(wide).times(inputs.get(4).cast(wide)).sum(List.of(3)).alongside(scores, 3);
    Tensor dscores = weights.times(dweights.minus(total)).cast(q.dtype());
    return List.of(dscores.matmul(k).times(scale), dscores.transposed().matmul(q).times(scale), dv);
  }
}
