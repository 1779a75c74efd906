package dev.weft.nn.optimizer;

import dev.weft.core.op.Adamw;
import dev.weft.core.op.Sgd;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Parameter;
import java.util.List;

/** How gradients change parameters. */
public sealed interface Optimizer {
  /** The names of what it remembers per parameter, each of the parameter's type. */
  List<String> slots();

  /** What it remembers of a parameter: nothing of one that it does not change, an average. */
  default List<String> slots(Parameter parameter) {
    return parameter.averaged() ? List.of() : slots();
  }

  /**
   * One step.
   *
   * @param decay whether weight decay applies: not to norms and biases
   * @param slots what it remembers, in the order of {@link #slots()}
   * @param learningRate f32 scalar
   * @param step f32 scalar, counting from 1
   * @param divisor f32 scalar that the gradient is divided by
   * @return the parameter, then the slots
   */
  List<Tensor> update(
      boolean decay,
      Tensor parameter,
      Tensor gradient,
      List<Tensor> slots,
      Tensor learningRate,
      Tensor step,
      Tensor divisor);

  /** Adam with decoupled weight decay (Loshchilov and Hutter). */
  record AdamW(double beta1, double beta2, double epsilon, double weightDecay)
      implements Optimizer {
    @Override
    public List<String> slots() {
      return List.of("first", "second");
    }

    @Override
    public List<Tensor> update(
        boolean decay,
        Tensor parameter,
        Tensor gradient,
        List<Tensor> slots,
        Tensor learningRate,
        Tensor step,
        Tensor divisor) {
      return Tensor.apply(
          new Adamw(beta1, beta2, epsilon, decay ? weightDecay : 0),
          List.of(parameter, gradient, slots.get(0), slots.get(1), learningRate, step, divisor));
    }
  }

  /** Stochastic gradient descent with momentum; weight decay is added to the gradient. */
  record SgdMomentum(double momentum, boolean nesterov, double weightDecay) implements Optimizer {
    @Override
    public List<String> slots() {
      return List.of("velocity");
    }

    @Override
    public List<Tensor> update(
        boolean decay,
        Tensor parameter,
        Tensor gradient,
        List<Tensor> slots,
        Tensor learningRate,
        Tensor step,
        Tensor divisor) {
      return Tensor.apply(
          new Sgd(momentum, nesterov, decay ? weightDecay : 0),
          List.of(parameter, gradient, slots.getFirst(), learningRate, divisor));
    }
  }
}
