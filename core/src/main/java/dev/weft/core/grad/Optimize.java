package dev.weft.core.grad;

import dev.weft.core.graph.DeadCode;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.CommonSubexpressions;

/** Simplifies a graph as far as it goes, without changing what it computes. */
public final class Optimize {
  /** Each pass opens new chances for the others; two rounds find nearly all, four all seen. */
  private static final int ROUNDS = 4;

  private Optimize() {}

  public static Graph optimize(Graph graph) {
    Graph current = graph;
    for (int round = 0; round < ROUNDS; round++) {
      int before = size(current);
      current = Verifier.verify("simplify", Simplify.simplify(current));
      current = Verifier.verify("common subexpressions", CommonSubexpressions.eliminate(current));
      current = Verifier.verify("dead code", DeadCode.eliminate(current));
      if (size(current) == before && round > 0) {
        break;
      }
    }
    return current;
  }

  private static int size(Graph graph) {
    int size = graph.nodes().size();
    for (var node : graph.nodes()) {
      if (node.op() instanceof dev.weft.core.op.Repeat repeat) {
        size += size(repeat.body());
      }
    }
    return size;
  }
}
