package dev.weft.core.op;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.TensorType;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Zeroes elements at random and scales the rest to keep the mean. Inputs: tensor, random bits of
 * its shape (i32).
 *
 * @param rate the share that is zeroed, from 0 to below 1
 */
public record Dropout(double rate) implements Composite {
  static final OpEntry ENTRY =
      OpEntry.of(
          Dropout.class,
          Example.of(
              new Dropout(0.25),
              Example.f32(3, 4),
              Example.in(Integer.MIN_VALUE, Integer.MAX_VALUE, TensorType.of(DataType.I32, 3, 4))));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.isFloat(this, inputs, 0);
    Check.type(this, inputs, 1, inputs.getFirst().with(DataType.I32));
    Check.require(
        rate >= 0 && rate < 1, this, inputs, "the rate must be from 0 to below 1, is " + rate);
    return List.of(inputs.getFirst());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return Factors.elementwise(2, 1, inputs.getFirst().rank());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(2.0 * inputs.getFirst().elements(), inputs, infer(inputs));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return Arrays.asList(Tensor.one(this, adjoint.cotangent(), adjoint.input(1)), null);
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.get(0);
    long threshold = Math.round(Integer.MIN_VALUE + rate * 0x1p32);
    Tensor keep = inputs.get(1).greaterOrEqual(threshold);
    return List.of(Tensor.where(keep, x.times(1 / (1 - rate)), x.filled(0)));
  }
}
