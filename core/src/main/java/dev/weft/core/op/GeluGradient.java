package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;

/** The gradient of {@link Gelu}: of the output's cotangent and the input. */
public record GeluGradient(Gelu.Form form) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          GeluGradient.class,
          Example.of(new GeluGradient(Gelu.Form.TANH), Example.f32(3, 4), Example.f32(3, 4)),
          Example.of(new GeluGradient(Gelu.Form.ERF), Example.f32(3, 4), Example.f32(3, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.same(this, inputs);
    Check.isFloat(this, inputs, 0);
    return List.of(inputs.getFirst());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(2, 1, inputs.getFirst().rank());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(24.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(
        Kernel.of("aten::gelu_backward.grad_input(x0, x1, \"" + form.library() + "\", y0)")
            .sharing(0, 0)
            .sharing(0, 1));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor dy = inputs.get(0);
    Tensor x = inputs.get(1);
    Tensor distribution = Gelu.distribution(x, form);
    Tensor density =
        switch (form) {
          case ERF -> x.times(x).times(-0.5).exp().times(1 / Math.sqrt(2 * Math.PI));
          case TANH -> {
            Tensor tanh = distribution.times(2).minus(1);
            Tensor slope = x.times(x).times(3 * 0.044715).plus(1).times(Math.sqrt(2 / Math.PI));
            yield tanh.times(tanh).negate().plus(1).times(slope).times(0.5);
          }
        };
    return List.of(dy.times(distribution.plus(x.times(density))));
  }
}
