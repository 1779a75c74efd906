package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Gelu;
import java.util.List;
import java.util.Optional;

/** The gelu of one token: few numbers, for which a call of the library takes longer to begin. */
final class GeluRow {
  private static final long MOST = 1 << 15;

  private GeluRow() {}

  /** Whether an op is that, in a type that there may be loops of Weft's own for. */
  static boolean isOne(DeviceKind kind, Op op, List<TensorType> types) {
    return kind == DeviceKind.CPU
        && op instanceof Gelu(Gelu.Form form)
        && form == Gelu.Form.TANH
        && types.getFirst().elements() <= MOST
        && (types.getFirst().dtype() == DataType.F32 || types.getFirst().dtype() == DataType.BF16);
  }

  /** The gelu as a loop of Weft's own, where its operands have no gaps. */
  static Optional<Command.GeluRow> looped(Item item) {
    Operand target = item.outputs().getFirst().operand();
    Operand source = item.inputs().getFirst().operand();
    return target.layout().isContiguous() && source.layout().isContiguous()
        ? Optional.of(new Command.GeluRow(item.name(), target, source))
        : Optional.empty();
  }
}
