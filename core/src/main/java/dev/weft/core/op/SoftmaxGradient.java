package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;

/**
 * The gradient of {@link Softmax}: of the output's cotangent and the output.
 *
 * @param dim the softmax's dim
 */
public record SoftmaxGradient(int dim) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          SoftmaxGradient.class,
          Example.of(new SoftmaxGradient(1), Example.f32(3, 5), Example.f32(3, 5)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.same(this, inputs);
    Check.isFloat(this, inputs, 0);
    Check.require(
        dim >= 0 && dim < inputs.getFirst().rank(), this, inputs, "dim " + dim + " does not exist");
    return List.of(inputs.getFirst());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(2, 1, inputs.getFirst().rank()).mark("d" + dim, Factors.Mark.WHOLE);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(4.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(
        Kernel.of(
            "aten::_softmax_backward_data.out(x0, x1, %d, %s, y0)"
                .formatted(dim, inputs.getFirst().dtype())));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor dy = inputs.get(0);
    Tensor y = inputs.get(1);
    Tensor weighted = dy.times(y);
    return List.of(weighted.minus(y.times(weighted.sum(List.of(dim)).alongside(y, dim))));
  }
}
