package dev.weft.core.overlap;

import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.AllToAll;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import java.util.List;
import java.util.stream.Stream;

/**
 * Two values of a collective, one of which has along a dim what the other one has of every member,
 * one behind the other.
 *
 * @param part one member's
 * @param joined as many parts as there are members, all full
 */
record Exchange(Value part, Value joined, int dim, int members) {
  /** Those of a collective, as far as parts are full; none of any other node. */
  static List<Exchange> of(Node node) {
    Stream<Exchange> all =
        switch (node.op()) {
          case AllGather op ->
              Stream.of(new Exchange(node.input(0), node.output(0), op.dim(), op.members()));
          case ReduceScatter op ->
              Stream.of(new Exchange(node.output(0), node.input(0), op.dim(), op.members()));
          case AllToAll op ->
              Stream.of(
                  new Exchange(node.input(0), node.output(0), op.concat(), op.members()),
                  new Exchange(node.output(0), node.input(0), op.split(), op.members()));
          default -> Stream.empty();
        };
    return all.filter(Exchange::isFull).toList();
  }

  private boolean isFull() {
    return joined.type().size(dim) == members * part.type().size(dim);
  }
}
