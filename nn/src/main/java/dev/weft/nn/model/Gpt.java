package dev.weft.nn.model;

import static dev.weft.core.cluster.DimSpec.WHOLE;
import static dev.weft.nn.layer.Layers.dropout;
import static dev.weft.nn.layer.Layers.layerNorm;
import static dev.weft.nn.layer.Layers.linear;

import dev.weft.core.op.Gelu;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;

/**
 * A decoder-only transformer. Mesh axes that its annotations name: {@code data} splits the batch,
 * {@code model} heads, inner widths and the vocabulary, {@code sequence} the context.
 */
public final class Gpt implements GenerativeModel {
  private static final Decoder DECODER = new Decoder("data", Gpt::feedForward);

  @Override
  public Loss loss(Scope m, ModelConfig c, Tensor tokens, Tensor targets) {
    Tensor x = DECODER.embed(m, c, tokens);
    x = dropout(m.at("drop"), x, c.dropout());
    x = m.repeat("h", c.layers(), x, (scope, h) -> DECODER.block(scope, c, h));
    return DECODER.loss(m, c, x, targets);
  }

  private static Tensor feedForward(Scope m, ModelConfig c, Tensor x) {
    Tensor normal = layerNorm(m.at("ln_2"), x);
    Initializer first = Initializer.normal(Decoder.DEVIATION);
    Tensor up = linear(m.at("up"), normal, 4L * c.hidden(), first, WHOLE, "model");
    Tensor active = up.gelu(Gelu.Form.TANH);
    Tensor down = linear(m.at("down"), active, c.hidden(), Decoder.residual(c), "model", WHOLE);
    return DECODER.stream(x.plus(dropout(m.at("down_drop"), down, c.dropout())));
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
