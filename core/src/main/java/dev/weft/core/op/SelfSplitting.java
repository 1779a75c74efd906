package dev.weft.core.op;

import dev.weft.core.cluster.Folding;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import java.util.List;
import java.util.Optional;

/**
 * An op that says itself how it works on tensors that are split along a factor which the general
 * rule must keep whole: a look-up in a split table, a scan, the largest k.
 */
public interface SelfSplitting extends Op {
  /** Whether the op can be split along the factor. */
  boolean splits(String factor, List<TensorType> inputs);

  /**
   * The op's part on one device. Inputs that have the factor are tiles of it, with unknown content
   * behind the end of shorter tiles; outputs that have the factor must be tiles of it too.
   *
   * @param inputs the local tensors, which may be split along other factors also
   * @param outputs the types of the local outputs
   */
  List<Tensor> split(Part part, List<Tensor> inputs, List<TensorType> outputs);

  /**
   * Whether the op adds up what lies along the factor: on parts of it, and with the inputs that it
   * is linear in together with those as parts of a sum too, it gives parts of the sum. The general
   * rule can then split it.
   */
  default boolean adds(String factor) {
    return false;
  }

  /** What is outstanding in an output after {@link #split}: parts to be folded over the axes. */
  default Optional<Folding> outstanding(String factor, int output, List<TensorType> inputs) {
    return Optional.empty();
  }

  /** A device's tile of a factor, and what it can learn of the others'. */
  interface Part {
    /** The factor that is split. */
    String factor();

    /** The size of the whole factor. */
    long size();

    /** The room for a tile on every device. */
    long room();

    /** How many devices share the factor. */
    int count();

    /** Where this device's tile begins, an i64 scalar. */
    Tensor start();

    /** One behind the last element of this device's tile, an i64 scalar. */
    Tensor end();

    /** The tensor with a number behind the end of a shorter tile. */
    Tensor masked(Tensor tile, int dim, double fill);

    /** The tensors of all devices, one behind the other along a dim, all of equal size. */
    Tensor gathered(Tensor part, int dim);

    /** This device's own number among those that share the factor, an i64 scalar. */
    Tensor number();
  }
}
