package dev.weft.core.program;

import dev.weft.core.cluster.Layout;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;

/**
 * A tensor of a stage, once for each slot of its pool.
 *
 * @param name unique in its stage; the same value has the same name on all stages
 * @param type of the whole tensor
 * @param layout how it lies on the stage's mesh
 * @param local the type of each device's part
 * @param kind parameters, facts and data are filled from outside, all others by steps:
 *     accumulators, and STATE for whatever else is made
 * @param pool index of its pool in the stage
 */
public record Buffer(
    String name, TensorType type, Layout layout, TensorType local, Graph.Kind kind, int pool) {}
