package dev.weft.engine.program;

import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Op;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One op of a flattened graph with the kernel that computes it.
 *
 * @param base what an accumulating kernel adds to
 * @param route whether the kernel runs between casts
 */
record Item(
    Op op, List<Flat> inputs, List<Flat> outputs, Kernel kernel, @Nullable Flat base, Route route) {
  /** All values read. */
  List<Flat> reads() {
    if (base == null) {
      return inputs;
    }
    var all = new java.util.ArrayList<>(inputs);
    all.add(base);
    return all;
  }

  /** Whether other devices take part: it begins at its place and ends before its first reader. */
  boolean isCollective() {
    return op instanceof Collective;
  }

  String name() {
    return op.name() + " making %" + outputs.getFirst().name;
  }
}
