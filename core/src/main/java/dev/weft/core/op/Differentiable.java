package dev.weft.core.op;

import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** How derivatives flow backward through an op. */
public interface Differentiable {
  /**
   * The cotangents of the inputs: one per input, null where none flows (integers, or an output that
   * does not depend on it). No list at all asks for the gradient of the expansion.
   */
  @Nullable List<@Nullable Tensor> gradient(Adjoint adjoint);

  /**
   * Whether the gradient by an input is what the op defines it to be, and no derivative of what it
   * computes: a way for averages over training to learn what is seen in each micro-batch.
   */
  default boolean definesGradient(int input) {
    return false;
  }

  /** No derivative for any input. */
  static List<@Nullable Tensor> none(Adjoint adjoint) {
    return Collections.nCopies(adjoint.inputs().size(), null);
  }
}
