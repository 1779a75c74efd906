package dev.weft.engine.kernel;

import dev.weft.core.graph.DataType;
import java.util.List;

/** An argument of a call as a kernel's text writes it. */
public sealed interface KernelArgument {
  record Tensor(TensorExpression tensor) implements KernelArgument {}

  record Tensors(List<TensorExpression> tensors) implements KernelArgument {}

  record Whole(long value) implements KernelArgument {}

  record Real(double value) implements KernelArgument {}

  record Truth(boolean value) implements KernelArgument {}

  record Longs(List<Long> values) implements KernelArgument {}

  record Truths(List<Boolean> values) implements KernelArgument {}

  record Text(String value) implements KernelArgument {}

  record Type(DataType value) implements KernelArgument {}

  /** An optional argument that is not given. */
  record None() implements KernelArgument {}

  /** An optional argument that is given. */
  record Given(KernelArgument value) implements KernelArgument {}
}
