package dev.weft.engine.kernel;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A tensor as a kernel's text names it. */
public sealed interface TensorExpression {
  /** What a name stands for. */
  enum Kind {
    INPUT,
    OUTPUT,
    TEMPORARY,
    BASE
  }

  /**
   * An input, output, temporary, or the value that is added to.
   *
   * @param type of a temporary, where the text says it
   */
  record Name(Kind kind, int index, @Nullable TensorType type) implements TensorExpression {}

  /** The same elements in another shape. */
  record View(TensorExpression inner, List<Long> sizes) implements TensorExpression {}

  /** A part of each dim. */
  record Part(TensorExpression inner, List<Long> starts, List<Long> limits, List<Long> strides)
      implements TensorExpression {}

  /** The last two dims exchanged. */
  record Transposed(TensorExpression inner) implements TensorExpression {}

  /** Copied first unless it is row-major without gaps. */
  record Contiguous(TensorExpression inner) implements TensorExpression {}

  /** A constant of rank 0. */
  record Number(double value, DataType dtype) implements TensorExpression {}
}
