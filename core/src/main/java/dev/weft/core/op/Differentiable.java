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

  /** No derivative for any input. */
  static List<@Nullable Tensor> none(Adjoint adjoint) {
    return Collections.nCopies(adjoint.inputs().size(), null);
  }
}
