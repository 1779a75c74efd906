package dev.weft.nn.model;

import dev.weft.core.op.Tensor;

/**
 * What training makes small: a sum and the weight that it is divided by, once, so that neither
 * padding nor micro-batches change the result.
 *
 * @param sum of the losses of all rows that count, a scalar
 * @param weight how many count, a scalar f32
 */
public record Loss(Tensor sum, Tensor weight) {}
