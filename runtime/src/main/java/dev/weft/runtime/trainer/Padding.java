package dev.weft.runtime.trainer;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Traced;
import dev.weft.nn.step.StepGraphs;
import java.util.function.UnaryOperator;

/** Rows of weight 0 that fill up the last micro-batch. */
final class Padding {
  private Padding() {}

  /**
   * Checks that rows which do not count change nothing.
   *
   * @throws UserException where there are such and statistics are made over a micro-batch's rows
   */
  static void check(TrainConfig config) {
    if (config.paddedRows() == 0) {
      return;
    }
    Session.Spec spec = Session.spec(config);
    Traced traced =
        StepGraphs.forward(spec.model(), spec.data(), DataType.F32, UnaryOperator.identity());
    traced.parameters().stream()
        .filter(Parameter::averaged)
        .findFirst()
        .ifPresent(
            average -> {
              throw new UserException(
                  "batch must be a multiple of micro-batches here, found %d and %d: the rows that fill up the last micro-batch would change the statistics of %s; choose a batch of %d, or %d micro-batches"
                      .formatted(
                          config.batch(),
                          config.microBatches(),
                          average.name(),
                          config.batch() + config.paddedRows(),
                          divisor(config)));
            });
  }

  /** The largest number of micro-batches below that asked for that divides the batch. */
  private static int divisor(TrainConfig config) {
    int divisor = Math.min(config.microBatches(), config.batch());
    while (config.batch() % divisor != 0) {
      divisor--;
    }
    return divisor;
  }
}
