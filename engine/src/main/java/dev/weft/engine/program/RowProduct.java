package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import java.util.ArrayList;
import java.util.List;

/**
 * One row times a matrix, as the decoding of a token has it: it takes as long as the matrix is
 * read, and is over before threads of the library's loops wake. So every thread of a crew reads
 * some of the columns.
 */
final class RowProduct {
  /** Parts are so many columns, or a multiple: a line of a cache and more. */
  private static final long COLUMNS = 32;

  /** A smaller matrix is read sooner than its parts are handed out. */
  private static final long LEAST_BYTES = 1 << 17;

  private RowProduct() {}

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
