package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.trace.Parameter;
import java.util.List;

/**
 * A part of a traced model that one group of devices computes.
 *
 * @param number pieces are numbered in the order in which values flow
 * @param forward inputs: what it receives, what it reads of the batch, facts, parameters; outputs:
 *     what it sends, then what else the model returns (the sum of the loss and its weight) as far
 *     as this piece makes it. Values keep their names, so that a received value is named as the
 *     sent one
 * @param parameters what the graph's parameter inputs are, in the same order: of repeated layers
 *     only those of this piece. Several pieces may have one parameter; then they have the same
 *     layers of it
 * @param received the names of values that come from earlier pieces
 * @param sent the names of values that later pieces take
 * @param returned the names of the model's outputs that this piece makes, in their order; each is
 *     made by one piece
 */
public record Piece(
    int number,
    Graph forward,
    List<Parameter> parameters,
    List<String> received,
    List<String> sent,
    List<String> returned) {
  public Piece {
    parameters = List.copyOf(parameters);
    received = List.copyOf(received);
    sent = List.copyOf(sent);
    returned = List.copyOf(returned);
  }
}
