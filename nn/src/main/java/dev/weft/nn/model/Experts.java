package dev.weft.nn.model;

import dev.weft.core.cluster.UserException;

/**
 * The experts of a mixture layer.
 *
 * @param count how many
 * @param capacityFactor room of an expert for tokens of a group, as a multiple of its even share
 * @param balanceWeight the weight of the loss that asks for even shares
 * @param every in which layers they are: the last of every so many; the others are dense
 */
public record Experts(int count, double capacityFactor, double balanceWeight, int every) {
  /** Choices that a token makes among the experts. */
  static final int CHOICES = 2;

  /** What models have that are told nothing. */
  public static final Experts DEFAULT = new Experts(4, 1.25, 0.01, 1);

  public Experts {
    if (count < CHOICES) {
      throw new UserException("experts must be at least " + CHOICES + ", found " + count);
    }
    if (!(capacityFactor > 0) || Double.isInfinite(capacityFactor)) {
      throw new UserException("capacity-factor must be above 0, found " + capacityFactor);
    }
    if (!(balanceWeight >= 0) || Double.isInfinite(balanceWeight)) {
      throw new UserException("balance-weight must not be negative, found " + balanceWeight);
    }
    if (every < 1) {
      throw new UserException("expert-every must be at least 1, found " + every);
    }
  }

  /** How many choices of a group of tokens an expert takes; what comes later is passed by. */
  long capacity(long tokens) {
    double room = Math.ceil(capacityFactor * CHOICES * tokens / count);
    return Math.clamp((long) room, 1, tokens);
  }
}
