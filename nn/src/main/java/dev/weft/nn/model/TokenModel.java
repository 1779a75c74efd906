package dev.weft.nn.model;

import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Scope;

/**
 * A model of token sequences that the command line can train: a class of a user's own implements it
 * and has a constructor without arguments.
 */
public interface TokenModel {
  /** The target that does not count. */
  long IGNORED = -1;

  /**
   * The loss of a batch.
   *
   * @param tokens i64 [batch, sequence]
   * @param targets i64 [batch, sequence], the next token at each place, or {@link #IGNORED}
   */
  Loss loss(Scope m, ModelConfig config, Tensor tokens, Tensor targets);
}
