package dev.weft.core.overlap;

import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Coordinated;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Windowed;
import dev.weft.core.op.Einsum;
import dev.weft.core.op.Matmul;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.SelfSplitting;
import dev.weft.core.shard.Dimensions;
import java.util.Arrays;
import java.util.Optional;

/**
 * A node of one result that can be computed on one tile of a factor after another.
 *
 * @param inputs per input the dim that is cut, {@link #NONE} where it lacks the factor
 * @param output the dim of the result that is cut; {@link #NONE} where the node sums over the
 *     factor, so that its results of all tiles must be added
 */
record TiledNode(Node node, int[] inputs, int output) {
  /** No dim. */
  static final int NONE = -1;

  /**
   * The node along the factor that stands outermost in a dim of one of its tensors; empty where it
   * cannot be computed in tiles of that.
   *
   * @param ofOutput whether the dim is of the result
   * @param input the number of the input that has it otherwise
   * @param members how many tiles
   */
  static Optional<TiledNode> along(Node node, boolean ofOutput, int input, int dim, int members) {
    if (node.outputs().size() != 1 || !isPlain(node.op())) {
      return Optional.empty();
    }
    var known = new Dimensions(node);
    Optional<String> outermost = known.outermost(ofOutput, ofOutput ? 0 : input, dim);
    if (outermost.isEmpty() || known.mark(outermost.get()) != null) {
      return Optional.empty();
    }
    String factor = outermost.get();
    int[] inputs = new int[node.inputs().size()];
    Arrays.fill(inputs, NONE);
    int output = NONE;
    for (Dimensions.Place place : known.places(factor)) {
      Value value = place.output() ? node.output(0) : node.input(place.tensor());
      // Tiles of a dim of several factors are runs of it only where they are even.
      if (value.type().size(place.dim()) != known.size(factor)
          && known.size(factor) % members != 0) {
        return Optional.empty();
      }
      if ((place.output() ? output : inputs[place.tensor()]) != NONE) {
        return Optional.empty();
      }
      if (place.output()) {
        output = place.dim();
      } else {
        inputs[place.tensor()] = place.dim();
      }
    }
    for (int i = 0; i < inputs.length; i++) {
      if (known.hasInput(factor, i) && inputs[i] == NONE) {
        return Optional.empty();
      }
    }
    return known.hasOutput(factor, 0) && output == NONE
        ? Optional.empty()
        : Optional.of(new TiledNode(node, inputs, output));
  }

  /** Whether a node is a product of two tensors. */
  static boolean isProduct(Node node) {
    return node.op() instanceof Matmul || node.op() instanceof Einsum && node.inputs().size() == 2;
  }

  /** Whether an op's elements follow from its operands' alone, as its factors tell. */
  private static boolean isPlain(Op op) {
    return !(op instanceof Collective
        || op instanceof Coordinated
        || op instanceof Repeat
        || op instanceof Windowed
        || op instanceof SelfSplitting);
  }
}
