package dev.weft.core.op;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One application of an op, seen backward.
 *
 * @param inputs what it was given
 * @param outputs what it made
 * @param cotangents the derivative of the loss by each output; null for an output it does not
 *     depend on
 * @param wanted which inputs' cotangents will be used; others may be null
 */
public record Adjoint(
    List<Tensor> inputs,
    List<Tensor> outputs,
    List<@Nullable Tensor> cotangents,
    List<Boolean> wanted) {

  public Tensor input(int index) {
    return inputs.get(index);
  }

  public Tensor output(int index) {
    return outputs.get(index);
  }

  /** The cotangent of an output, zeros where nothing depends on it. */
  public Tensor cotangent(int index) {
    Tensor cotangent = cotangents.get(index);
    return cotangent != null ? cotangent : output(index).filled(0);
  }

  /** The cotangent of the first output. */
  public Tensor cotangent() {
    return cotangent(0);
  }
}
