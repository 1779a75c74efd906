package dev.weft.nn.model;

import dev.weft.core.cluster.UserException;

/**
 * The size of a token model.
 *
 * @param layers how many equal blocks
 * @param hidden the width
 * @param heads attention heads; they divide the width
 * @param sequence the context in tokens
 * @param vocabulary different tokens
 * @param dropout the share of elements zeroed while training
 * @param feedForward the width within the second sub-layer, as a multiple of the width
 * @param experts of a mixture of experts; other models have none
 */
public record ModelConfig(
    int layers,
    int hidden,
    int heads,
    int sequence,
    int vocabulary,
    double dropout,
    int feedForward,
    Experts experts) {
  /** What models have that are told nothing. */
  public static final int FEED_FORWARD = 4;

  public ModelConfig(
      int layers, int hidden, int heads, int sequence, int vocabulary, double dropout) {
    this(layers, hidden, heads, sequence, vocabulary, dropout, FEED_FORWARD, Experts.DEFAULT);
  }

  public ModelConfig {
    positive("layers", layers);
    positive("hidden", hidden);
    positive("heads", heads);
    positive("sequence", sequence);
    positive("vocabulary", vocabulary);
    positive("feed-forward", feedForward);
    if (hidden % heads != 0) {
      throw new UserException(
          "heads must divide hidden, found heads " + heads + " and hidden " + hidden);
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new UserException("dropout must be from 0 to below 1, found " + dropout);
    }
  }

  /** The width within the second sub-layer. */
  public long inner() {
    return (long) feedForward * hidden;
  }

  private static void positive(String name, int value) {
    if (value < 1) {
      throw new UserException(name + " must be at least 1, found " + value);
    }
  }
}
