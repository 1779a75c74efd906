package dev.weft.core.op;

import dev.weft.core.graph.Op;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An op that is the same value as an expression of other ops: the oracle of its kernels and
 * gradient, and what is computed where no kernel exists.
 */
public interface Composite extends Op, Differentiable {
  /** The outputs from other ops. */
  List<Tensor> expand(List<Tensor> inputs);

  /** By default the gradient of the expansion. */
  @Override
  default @Nullable List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return null;
  }
}
