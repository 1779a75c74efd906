package dev.weft.core.program;

import java.util.List;

/**
 * In what order each stage computes. What it waits for, it waits for in this order.
 *
 * @param schedule the schedule's name
 * @param chunks pieces per stage
 * @param stages the actions of each stage
 */
public record Order(String schedule, int chunks, int microBatches, List<List<Action>> stages) {
  public Order {
    stages = stages.stream().map(List::copyOf).toList();
  }
}
