package dev.weft.nn.model;

import static dev.weft.nn.layer.Layers.dropout;

import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Scope;
import java.util.List;

/**
 * A decoder-only transformer. Mesh axes that its annotations name: {@code data} splits the batch,
 * {@code model} heads, inner widths and the vocabulary, {@code sequence} the context.
 */
public final class Gpt implements GenerativeModel {
  private static final Decoder DECODER =
      new Decoder("data", _ -> List.of(new Decoder.Block("", Gpt::feedForward)));

  @Override
  public Loss loss(Scope m, ModelConfig c, Tensor tokens, Tensor targets) {
    Tensor x = DECODER.embed(m, c, tokens);
    x = dropout(m.at("drop"), x, c.dropout());
    x = m.repeat("h", c.layers(), x, (scope, h) -> block(scope, c, h));
    return DECODER.loss(m, c, x, targets);
  }

  private static Tensor block(Scope m, ModelConfig c, Tensor x) {
    return feedForward(m, c, DECODER.attend(m, c, x));
  }

  private static Tensor feedForward(Scope m, ModelConfig c, Tensor x) {
    return DECODER.dense(m, c, x);
  }

  @Override
  public Continuation prefill(Scope m, ModelConfig c, Tensor tokens, Tensor last, Cache cache) {
    return DECODER.prefill(m, c, tokens, last, cache);
  }

  @Override
  public Continuation decode(Scope m, ModelConfig c, Tensor token, Tensor position, Cache cache) {
    return DECODER.decode(m, c, token, position, cache);
  }
}
