package dev.weft.core.program;

import java.util.Collections;
import java.util.List;
import java.util.Set;

/**
 * In what order each stage computes. What it waits for, it waits for in this order.
 *
 * @param schedule the schedule's name
 * @param chunks pieces per stage
 * @param stages the actions of each stage
 * @param inline of each stage the recomputes that begin only when the cotangents of their
 *     micro-batch have arrived; all others begin when their turn comes
 */
public record Order(
    String schedule,
    int chunks,
    int microBatches,
    List<List<Action>> stages,
    List<Set<Action>> inline) {
  public Order {
    stages = stages.stream().map(List::copyOf).toList();
    inline = inline.stream().map(Set::copyOf).toList();
  }

  /** No recompute waits for cotangents. */
  public Order(String schedule, int chunks, int microBatches, List<List<Action>> stages) {
    this(schedule, chunks, microBatches, stages, Collections.nCopies(stages.size(), Set.of()));
  }
}
