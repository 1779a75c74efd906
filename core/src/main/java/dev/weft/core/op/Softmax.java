package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The exponentials along a dim, scaled to sum to one.
 *
 * @param dim the dim; it stays whole when the tensor is split
 */
public record Softmax(int dim) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          Softmax.class,
          Example.of(new Softmax(1), Example.f32(3, 5)),
          Example.of(new Softmax(2), Example.f32(2, 3, 4)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.isFloat(this, inputs, 0);
    Check.require(
        dim >= 0 && dim < inputs.getFirst().rank(), this, inputs, "dim " + dim + " does not exist");
    return List.of(inputs.getFirst());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(1, 1, inputs.getFirst().rank()).mark("d" + dim, Factors.Mark.WHOLE);
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(12.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    Kernel kernel = Kernel.of("aten::_softmax.out(x0, " + dim + ", false, y0)");
    boolean last = dim == inputs.getFirst().rank() - 1;
    return List.of(last ? kernel.sharing(0, 0) : kernel);
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(Tensor.one(new SoftmaxGradient(dim), adjoint.cotangent(), adjoint.output(0)));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Tensor shifted = x.minus(x.max(List.of(dim)).alongside(x, dim));
    Tensor exponentials = shifted.exp();
    return List.of(exponentials.dividedBy(exponentials.sum(List.of(dim)).alongside(x, dim)));
  }
}
