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
 * @param experts of a mixture of experts; other models have none
 */
public record ModelConfig(
    int layers,
    int hidden,
    int heads,
    int sequence,
    int vocabulary,
    double dropout,
    Experts experts) {
  public ModelConfig(
      int layers, int hidden, int heads, int sequence, int vocabulary, double dropout) {
    this(layers, hidden, heads, sequence, vocabulary, dropout, Experts.DEFAULT);
  }

  public ModelConfig {
    positive("layers", layers);
    positive("hidden", hidden);
    positive("heads", heads);
    positive("sequence", sequence);
    positive("vocabulary", vocabulary);
    if (hidden % heads != 0) {
      throw new UserException(
          "heads must divide hidden, found heads " + heads + " and hidden " + hidden);
    }
    if (!(dropout >= 0 && dropout < 1)) {
      throw new UserException("dropout must be from 0 to below 1, found " + dropout);
    }
  }

  private static void positive(String name, int value) {
    if (value < 1) {
      throw new UserException(name + " must be at least 1, found " + value);
    }
  }
}
