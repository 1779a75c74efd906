package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Scaled dot-product attention. Inputs: queries [b, h, s, d], keys and values [b, h, t, d].
 * Outputs: the result [b, h, s, d], and the logarithm of each query's sum of exponentials [b, h,
 * s], f32 (f64 for f64).
 *
 * @param causal whether query i sees only keys 0 to i
 * @param scale what scores are multiplied by
 */
public record Attention(boolean causal, double scale) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          Attention.class,
          Example.of(
              new Attention(true, 0.5),
              Example.f32(2, 2, 4, 8),
              Example.f32(2, 2, 4, 8),
              Example.f32(2, 2, 4, 8)),
          Example.of(
              new Attention(false, 0.5),
              Example.f32(1, 2, 3, 8),
              Example.f32(1, 2, 5, 8),
              Example.f32(1, 2, 5, 8)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 3);
    for (int i = 0; i < 3; i++) {
      Check.rank(this, inputs, i, 4);
      Check.isFloat(this, inputs, i);
    }
    TensorType q = inputs.getFirst();
    Check.type(this, inputs, 1, q.with(q.shape().with(2, inputs.get(1).size(2))));
    Check.type(this, inputs, 2, inputs.get(1));
    return List.of(q, new TensorType(CrossEntropy.wide(q.dtype()), q.shape().without(3)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.parse("b h s! d!, b h t! d, b h t d -> b h s d, b h s");
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    double flops = 4.0 * inputs.getFirst().elements() * inputs.get(1).size(2);
    return Cost.streaming(causal ? flops / 2 : flops, inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    if (kind != DeviceKind.CPU) {
      return List.of();
    }
    return List.of(
        Kernel.of(
                "shim::_scaled_dot_product_flash_attention_for_cpu(x0, x1, x2, 0.0, %b, none, &%s) -> y0, y1"
                    .formatted(causal, scale))
            .withSerialBlas());
  }

  @Override
  public @Nullable List<@Nullable Tensor> gradient(Adjoint adjoint) {
    if (adjoint.cotangents().get(1) != null) {
      return null;
    }
    return new ArrayList<>(
        Tensor.apply(
            new AttentionGradient(causal, scale),
            List.of(
                adjoint.cotangent(),
                adjoint.input(0),
                adjoint.input(1),
                adjoint.input(2),
                adjoint.output(0),
                adjoint.output(1))));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor q = inputs.get(0);
    DataType wide = CrossEntropy.wide(q.dtype());
    Tensor scores = scores(q, inputs.get(1), causal, scale).cast(wide);
    Tensor largest = scores.max(List.of(3));
    Tensor exponentials = scores.minus(largest.alongside(scores, 3)).exp();
    Tensor sum = exponentials.sum(List.of(3));
    Tensor weights = exponentials.dividedBy(sum.alongside(scores, 3)).cast(q.dtype());
    return List.of(weights.matmul(inputs.get(2)), sum.log().plus(largest));
  }

  /** Scaled scores [b, h, s, t], minus infinity where a query does not see the key. */
  static Tensor scores(Tensor q, Tensor k, boolean causal, double scale) {
    Tensor scores = q.times(scale).matmul(k.transposed());
    if (!causal) {
      return scores;
    }
    Shape plane = Shape.of(q.size(2), k.size(2));
    Tensor row = Tensor.iota(q.builder(), new TensorType(DataType.I32, plane), 0);
    Tensor column = Tensor.iota(q.builder(), new TensorType(DataType.I32, plane), 1);
    Tensor seen = row.greaterOrEqual(column).broadcast(scores.shape(), List.of(2, 3));
    return Tensor.where(seen, scores, scores.filled(Double.NEGATIVE_INFINITY));
  }
}
