package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Matmul;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * One row times a matrix, as the decoding of a token has it: it takes as long as the matrix is
 * read, and is over before threads of the library's loops wake. So every thread of a crew reads
 * some of the columns: in a loop of Weft's own where the device was opened for it, else in a call
 * of the library.
 */
final class RowProduct {
  /** Parts are so many columns, or a multiple: a line of a cache and more. */
  private static final long COLUMNS = 32;

  /** A smaller matrix is read sooner than its parts are handed out. */
  private static final long LEAST_BYTES = 1 << 17;

  private RowProduct() {}

  /** Whether an op is such a product, in a type that there may be loops of Weft's own for. */
  static boolean isOne(DeviceKind kind, Op op, List<TensorType> types) {
    if (!(op instanceof Matmul) || kind != DeviceKind.CPU || types.get(1).rank() != 2) {
      return false;
    }
    TensorType row = types.getFirst();
    return row.elements() == row.size(-1)
        && (row.dtype() == DataType.F32 || row.dtype() == DataType.BF16);
  }

  /** The product as a loop of Weft's own; empty where the matrix lies row by row. */
  static Optional<Command.RowProduct> looped(Item item) {
    Operand matrix = item.inputs().get(1).operand();
    Flat base = item.base();
    Optional<Operand> target = line(item.outputs().getFirst().operand());
    Optional<Operand> row = line(item.inputs().getFirst().operand());
    Optional<Operand> added = base == null ? Optional.empty() : line(base.operand());
    boolean byColumns = matrix.shape().size(0) == 1 || matrix.layout().strides()[0] == 1;
    if (!byColumns || target.isEmpty() || row.isEmpty() || (base != null && added.isEmpty())) {
      return Optional.empty();
    }
    return Optional.of(
        new Command.RowProduct(item.name(), target.get(), added.orElse(null), row.get(), matrix));
  }

  /** All numbers in one dim, if they lie without gaps. */
  private static Optional<Operand> line(Operand operand) {
    return operand
        .layout()
        .reshape(Shape.of(operand.shape().elements()))
        .filter(Strided::isContiguous)
        .map(operand::with);
  }

  /** Whether it is such a product, and worth more than one thread. */
  static boolean isOne(Command.Library call, DeviceKind kind, int threads) {
    if (threads == 1 || kind != DeviceKind.CPU || !call.shim() || matrix(call) < 0) {
      return false;
    }
    Shape target = operand(call, 0).shape();
    Operand matrix = operand(call, matrix(call));
    return target.size(0) == 1
        && target.size(1) >= 2L * threads * COLUMNS
        && matrix.shape().elements() * matrix.dtype().bytes() >= LEAST_BYTES;
  }

  /** Which argument is the matrix: of target, perhaps a base, row, matrix. */
  private static int matrix(Command.Library call) {
    return switch (call.name()) {
      case "mm_out" -> 2;
      case "addmm_out" -> 3;
      default -> -1;
    };
  }

  /** The products of the same row with some columns each. */
  static List<Command.Library> parts(Command.Library call, int threads) {
    long n = operand(call, 0).shape().size(1);
    long width = Math.ceilDiv(Math.ceilDiv(n, threads), COLUMNS) * COLUMNS;
    var parts = new ArrayList<Command.Library>();
    for (long from = 0; from < n; from += width) {
      parts.add(columns(call, from, Math.min(n, from + width)));
    }
    return parts;
  }

  private static Command.Library columns(Command.Library call, long from, long to) {
    var arguments = new ArrayList<>(call.arguments());
    int row = matrix(call) - 1;
    for (int i = 0; i <= row + 1; i++) {
      if (i != row) {
        Operand whole = operand(call, i);
        Strided layout = whole.layout();
        Strided part =
            new Strided(
                Shape.of(layout.shape().size(0), to - from),
                layout.strides(),
                layout.offset() + from * layout.strides()[1]);
        arguments.set(i, new Command.Slot.Tensor(whole.with(part)));
      }
    }
    return new Command.Library(
        call.origin(),
        true,
        call.name(),
        call.overload(),
        arguments,
        call.results(),
        call.serialBlas(),
        call.small());
  }

  private static Operand operand(Command.Library call, int index) {
    if (call.arguments().get(index) instanceof Command.Slot.Tensor(Operand operand)) {
      return operand;
    }
    throw new IllegalArgumentException(
        "argument " + index + " of " + call.name() + " is no tensor");
  }
}
