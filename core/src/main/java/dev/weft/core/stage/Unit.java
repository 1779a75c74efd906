package dev.weft.core.stage;

import dev.weft.core.graph.Node;
import dev.weft.core.op.Repeat;
import java.util.List;

/**
 * What a model can be cut into: a forward node, or one round of a repeat.
 *
 * @param node of the uncut graph
 * @param round in the order in which the rounds run; 0 for what is no repeat
 */
public record Unit(Node node, int round) {
  /** As a user knows it: {@code h.3} for the fourth layer of a repeat, else the forward node. */
  public String name() {
    String forward = node.origin().forward();
    return node.op() instanceof Repeat repeat ? forward + "." + slice(repeat, round) : forward;
  }

  /** The nodes of this unit: the node itself, or the body's. */
  public List<Node> nodes() {
    return node.op() instanceof Repeat repeat ? repeat.body().nodes() : List.of(node);
  }

  /** Which slice of stacked values a round takes. */
  static int slice(Repeat repeat, int round) {
    return repeat.reverse() ? repeat.count() - 1 - round : round;
  }
}
