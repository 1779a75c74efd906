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
 * One step of stochastic gradient descent with momentum. Inputs: parameter, gradient, velocity, all
 * of one type; learning rate and divisor of the gradient, f32 scalars. Outputs: parameter,
 * velocity. Weight decay is added to the gradient.
 */
public record Sgd(double momentum, boolean nesterov, double weightDecay) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          Sgd.class,
          Example.of(
              new Sgd(0.9, false, 0.1),
              Example.f32(3, 4),
              Example.f32(3, 4),
              Example.f32(3, 4),
              Example.in(0.01, 0.1, TensorType.scalar(DataType.F32)),
              Example.positive()),
          Example.of(
              new Sgd(0.9, true, 0),
              Example.f32(3, 4),
              Example.f32(3, 4),
              Example.f32(3, 4),
              Example.in(0.01, 0.1, TensorType.scalar(DataType.F32)),
              Example.positive()));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 5);
    Check.isFloat(this, inputs, 0);
    Check.same(this, inputs, 3);
    for (int i = 3; i < 5; i++) {
      Check.type(this, inputs, i, TensorType.scalar(DataType.F32));
    }
    return List.of(inputs.get(0), inputs.get(2));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    List<List<String>> dims = Factors.named("d", inputs.getFirst().rank());
    List<List<String>> none = List.of();
    return new Factors(List.of(dims, dims, dims, none, none), List.of(dims, dims), Map.of());
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Differentiable.none(adjoint);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(6.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  /** The library's kernel is right for f32 alone, and keeps no velocity without momentum. */
  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    if (inputs.getFirst().dtype() != DataType.F32 || momentum == 0) {
      return List.of();
    }
    return List.of(
        Kernel.of(
                "aten::_fused_sgd_.tensor_lr({x0}, {contiguous(x1)}, {x2}, %s, %s, x3, 0.0, %b, false, false, &x4, none)"
                    .formatted(weightDecay, momentum, nesterov))
            .mutating(0, 0)
            .mutating(1, 2)
            .clobbering(1));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor parameter = inputs.get(0);
    DataType dtype = parameter.dtype();
    Tensor gradient =
        inputs.get(1).dividedBy(inputs.get(4).cast(dtype)).plus(parameter.times(weightDecay));
    Tensor velocity = inputs.get(2).times(momentum).plus(gradient);
    Tensor direction = nesterov ? gradient.plus(velocity.times(momentum)) : velocity;
    return List.of(parameter.minus(direction.times(inputs.get(3).cast(dtype))), velocity);
  }
}
