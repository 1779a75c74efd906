package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One step of AdamW (Loshchilov and Hutter, Decoupled Weight Decay Regularization, algorithm 2).
 * Inputs: parameter, gradient, first moment, second moment, all of one type; learning rate, step
 * (counting from 1) and divisor of the gradient, f32 scalars. Outputs: parameter, first moment,
 * second moment.
 */
public record Adamw(double beta1, double beta2, double epsilon, double weightDecay)
    implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          Adamw.class,
          Example.of(
              new Adamw(0.9, 0.95, 1e-8, 0.1),
              Example.f32(3, 4),
              Example.f32(3, 4),
              Example.f32(3, 4),
              Example.positive(3, 4),
              Example.in(0.01, 0.1, TensorType.scalar(DataType.F32)),
              Example.in(1, 9, TensorType.scalar(DataType.F32)),
              Example.positive()));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 7);
    Check.isFloat(this, inputs, 0);
    Check.same(this, inputs, 4);
    for (int i = 4; i < 7; i++) {
      Check.type(this, inputs, i, TensorType.scalar(DataType.F32));
    }
    return List.of(inputs.get(0), inputs.get(2), inputs.get(3));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> dims = Factors.named("d", inputs.getFirst().rank());
    List<List<String>> none = List.of();
    return new Factors(
        List.of(dims, dims, dims, dims, none, none, none), List.of(dims, dims, dims), Map.of());
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Differentiable.none(adjoint);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(12.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(
        Kernel.of(
                "aten::_fused_adamw_.tensor_lr({x0}, {contiguous(x1)}, {x2}, {x3}, {}, {x5}, x4, %s, %s, %s, %s, false, false, &x6, none)"
                    .formatted(beta1, beta2, weightDecay, epsilon))
            .mutating(0, 0)
            .mutating(1, 2)
            .mutating(2, 3)
            .clobbering(1));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor parameter = inputs.get(0);
    DataType dtype = parameter.dtype();
    Tensor rate = inputs.get(4).cast(dtype);
    Tensor step = inputs.get(5);
    Tensor gradient = inputs.get(1).dividedBy(inputs.get(6).cast(dtype));
    Tensor first = inputs.get(2).times(beta1).plus(gradient.times(1 - beta1));
    Tensor second = inputs.get(3).times(beta2).plus(gradient.times(gradient).times(1 - beta2));
    Tensor correction1 = power(beta1, step).negate().plus(1).cast(dtype);
    Tensor correction2 = power(beta2, step).negate().plus(1).sqrt().cast(dtype);
    Tensor denominator = second.sqrt().dividedBy(correction2).plus(epsilon);
    Tensor decayed = parameter.times(rate.times(-weightDecay).plus(1));
    Tensor moved = decayed.minus(first.dividedBy(denominator).times(rate.dividedBy(correction1)));
    return List.of(moved, first, second);
  }

  private static Tensor power(double base, Tensor exponent) {
    return exponent.times(Math.log(base)).exp();
  }
}
