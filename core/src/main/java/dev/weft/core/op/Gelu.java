package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The Gaussian error linear unit, x times the normal distribution function of x. */
public record Gelu(Form form) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          Gelu.class,
          Example.of(new Gelu(Form.TANH), Example.f32(3, 4)),
          Example.of(new Gelu(Form.ERF), Example.f32(3, 4)));

  /** How the distribution function is computed. */
  public enum Form {
    /** By the approximation with a hyperbolic tangent. */
    TANH,
    /** By the error function. */
    ERF;

    String library() {
      return this == TANH ? "tanh" : "none";
    }
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.isFloat(this, inputs, 0);
    return List.of(inputs.getFirst());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(1, 1, inputs.getFirst().rank());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(14.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("aten::gelu.out(x0, \"" + form.library() + "\", y0)").sharing(0, 0));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(Tensor.one(new GeluGradient(form), adjoint.cotangent(), adjoint.input(0)));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    return List.of(x.times(distribution(x, form)));
  }

  /** The normal distribution function in the given form. */
  static Tensor distribution(Tensor x, Form form) {
    Tensor inner =
        switch (form) {
          case ERF -> x.times(Math.sqrt(0.5)).erf();
          case TANH ->
              x.plus(x.times(x).times(x).times(0.044715)).times(Math.sqrt(2 / Math.PI)).tanh();
        };
    return inner.plus(1).times(0.5);
  }
}
