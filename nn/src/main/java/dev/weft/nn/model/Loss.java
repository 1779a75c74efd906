package dev.weft.nn.model;

import dev.weft.core.op.Tensor;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/**
 * What training makes small: a sum and the weight that it is divided by, once, so that neither
 * padding nor micro-batches change the result.
 *
 * @param sum of the losses of all rows that count, a scalar
 * @param weight how many count, a scalar f32
 * @param measures further sums over the same rows by name, scalars divided by the same weight; they
 *     are evaluated, not trained on
 */
public record Loss(Tensor sum, Tensor weight, SequencedMap<String, Tensor> measures) {
  public Loss {
    measures = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(measures));
  }

  public Loss(Tensor sum, Tensor weight) {
    this(sum, weight, new LinkedHashMap<>());
  }
}
