package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Tensor;
import java.util.List;

/**
 * An op that asks where its device stands along some axes, but nothing of other devices. When a
 * program is loaded on a device it becomes ordinary ops.
 */
public sealed interface Coordinated extends Op
    permits TileStart,
        TileEnd,
        TileSlice,
        StepSlice,
        WindowSlice,
        MaskPadding,
        OnFirst,
        RingSlice,
        RingConcat,
        RingSum {
  /** The axes whose coordinates count, outermost first. */
  List<MeshAxis> axes();

  /** How many devices differ along the axes. */
  default int members() {
    return axes().stream().mapToInt(MeshAxis::size).reduce(1, Math::multiplyExact);
  }

  /**
   * What the op computes on one device, in ordinary ops.
   *
   * @param builder takes the ops of an op without inputs
   * @param tile the device's number over the axes, row-major
   */
  Tensor on(dev.weft.core.graph.Builder builder, int tile, List<Tensor> inputs);

  /** Never split further. */
  @Override
  default Factors factors(List<TensorType> inputs) {
    throw new UnsupportedOperationException(name() + " is made by the partitioner");
  }

  @Override
  default Cost cost(List<TensorType> inputs) {
    return Cost.streaming(0, inputs, infer(inputs));
  }
}
