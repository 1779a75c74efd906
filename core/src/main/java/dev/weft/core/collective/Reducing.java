package dev.weft.core.collective;

import dev.weft.core.cluster.Folding;

/** A collective that folds the members' tensors together, element by element. */
public sealed interface Reducing extends Collective permits AllReduce, ReduceScatter {
  Folding folding();
}
