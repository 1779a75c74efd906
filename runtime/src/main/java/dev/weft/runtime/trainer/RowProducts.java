package dev.weft.runtime.trainer;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Matmul;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Transpose;
import java.util.Optional;

/**
 * How the matrices of a graph lie in memory so that products of one row read them fastest. By
 * measurement, in docs/benchmarks.md: loops of Weft's own column by column; the library wide
 * numbers row by row of the product's right side, k by n; narrow ones, too, where n is large, else
 * column by column.
 */
final class RowProducts {
  private static final long MANY_COLUMNS = 8192;

  private RowProducts() {}

  /**
   * The layout of a parameter: row-major where no product of the graph takes it.
   *
   * @param loops whether loops of Weft's own read it
   */
  static Strided layout(Graph graph, Value parameter, boolean loops) {
    TensorType type = parameter.type();
    Strided rows = Strided.dense(type.shape());
    Optional<Boolean> transposed = transposed(graph, parameter);
    if (type.rank() < 2 || transposed.isEmpty()) {
      return rows;
    }
    long n = transposed.get() ? type.size(-2) : type.size(-1);
    boolean narrow = type.dtype() == DataType.BF16 || type.dtype() == DataType.F16;
    boolean rowsOfProduct = !loops && (!narrow || n > MANY_COLUMNS);
    if (rowsOfProduct != transposed.get()) {
      return rows;
    }
    long[] strides = rows.strides().clone();
    strides[type.rank() - 1] = type.size(-2);
    strides[type.rank() - 2] = 1;
    return new Strided(type.shape(), strides, 0);
  }

  /** Whether the product that takes a matrix on its right takes it transposed; empty without. */
  private static Optional<Boolean> transposed(Graph graph, Value matrix) {
    for (Node node : graph.nodes()) {
      int place = node.inputs().indexOf(matrix);
      if (place < 0) {
        continue;
      }
      Optional<Boolean> found =
          switch (node.op()) {
            case Matmul _
                when place == 1
                    && matrix.type().rank() == 2
                    && node.input(0).type().elements() == matrix.type().size(0) ->
                Optional.of(false);
            case Transpose transpose when isOfLastTwo(transpose) ->
                transposed(graph, node.output(0)).map(turned -> !turned);
            case Repeat repeat when place >= repeat.carried() ->
                transposed(repeat.body(), repeat.body().inputs().get(place + 1).value());
            default -> Optional.empty();
          };
      if (found.isPresent()) {
        return found;
      }
    }
    return Optional.empty();
  }

  private static boolean isOfLastTwo(Transpose transpose) {
    int rank = transpose.permutation().size();
    return transpose.permutation().get(rank - 1) == rank - 2
        && transpose.permutation().get(rank - 2) == rank - 1;
  }
}
