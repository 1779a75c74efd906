package dev.weft.nn.model;

import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Scope;

/** A token model that continues a text: it keeps keys and values of the tokens it has seen. */
public interface GenerativeModel extends TokenModel {
  /** Keys and values of all layers, [layers, heads, sequence, hidden / heads] each. */
  record Cache(Tensor keys, Tensor values) {}

  /** What a run over tokens gives: the next token's logits [vocabulary] and the cache after it. */
  record Continuation(Tensor logits, Cache cache) {}

  /**
   * Reads the beginning of a text into an empty cache.
   *
   * @param tokens i64 [1, length]; those behind {@code last} are padding
   * @param last i64 scalar: the place of the last token
   */
  Continuation prefill(Scope m, ModelConfig config, Tensor tokens, Tensor last, Cache cache);

  /**
   * Reads one more token.
   *
   * @param token i64 [1, 1]
   * @param position i64 scalar: its place
   */
  Continuation decode(Scope m, ModelConfig config, Tensor token, Tensor position, Cache cache);
}
