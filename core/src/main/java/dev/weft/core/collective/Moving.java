package dev.weft.core.collective;

import dev.weft.core.graph.TensorType;
import java.util.List;

/** A collective that moves elements between members and computes nothing. */
public sealed interface Moving extends Collective
    permits AllGather, AllToAll, Permute, HaloExchange, RingShift {
  /**
   * All boxes that members keep or hand over, which together write every element of every result
   * that has a meaning. What no box writes is {@link #fill} where this op gives a number, else of
   * unknown content.
   */
  List<Piece> pieces(TensorType input);

  /** What stands where no piece is written; NaN for unknown content. */
  default double fill() {
    return Double.NaN;
  }

  /** The bytes of the busiest sender. */
  static long busiest(List<Piece> pieces, int members, TensorType input) {
    long[] sent = new long[members];
    long most = 0;
    for (Piece piece : pieces) {
      if (piece.moves()) {
        sent[piece.from()] += piece.elements();
        most = Math.max(most, sent[piece.from()]);
      }
    }
    return most * input.dtype().bytes();
  }
}
