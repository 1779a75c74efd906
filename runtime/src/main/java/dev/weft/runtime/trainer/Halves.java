package dev.weft.runtime.trainer;

import dev.weft.core.cluster.UserException;
import dev.weft.core.overlap.Level;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.Simulator;
import dev.weft.nn.step.SubPipelining;
import java.util.Locale;
import java.util.Optional;

/** Reads what a user writes about sub-pipelines. */
final class Halves {
  /** What chooses the fastest level. */
  private static final String AUTO = "auto";

  private Halves() {}

  /**
   * The level that a text stands for; empty for {@code auto}.
   *
   * @throws UserException if it is neither a number from 0 to 3 nor {@code auto}
   */
  static Optional<Level> level(String text) {
    if (text.equals(AUTO)) {
      return Optional.empty();
    }
    return Optional.of(
        Level.of(text)
            .orElseThrow(
                () ->
                    new UserException(
                        "sub-pipeline must be 0, 1, 2, 3 or auto, found '" + text + "'")));
  }

  /**
   * The rule for devices that are threads of this process.
   *
   * @param threads cores that all devices together compute on
   * @param stageDevices of each stage
   * @throws UserException if the text is no rule
   */
  static SubPipelining embedded(String text, int threads, int stages, int stageDevices) {
    return level(text)
        .map(SubPipelining::at)
        .orElse(step -> embedded(step, threads, stages, stageDevices));
  }

  private static SubPipelining.Chosen embedded(
      SubPipelining.Candidates step, int threads, int stages, int stageDevices) {
    Beside beside = Beside.of(stages * stageDevices, threads);
    return beside
        .machine()
        .map(machine -> priced(step, new ClusterCosts(machine, stageDevices)))
        .orElseGet(() -> chosen(Level.OFF, beside.why()));
  }

  /**
   * The rule for a cluster.
   *
   * @throws UserException if the text is no rule
   */
  static SubPipelining on(String text, ClusterCosts costs) {
    return level(text).map(SubPipelining::at).orElse(step -> priced(step, costs));
  }

  /** The fastest level by the costs of a cluster. */
  static SubPipelining.Chosen priced(SubPipelining.Candidates step, ClusterCosts costs) {
    if (!costs.cluster().overlaps()) {
      return chosen(
          Level.OFF,
          "devices of %s do themselves what is sent: nothing could run beside it"
              .formatted(costs.cluster().name()));
    }
    if (step.rows() < 2) {
      return chosen(Level.OFF, "a device has no two rows of a micro-batch");
    }
    double whole = seconds(step, Level.OFF, costs);
    Level best = Level.OFF;
    double least = (1 - Beside.LEAST_GAIN) * whole;
    for (Level level : Level.values()) {
      double seconds = seconds(step, level, costs);
      if (seconds < least) {
        best = level;
        least = seconds;
      }
    }
    return best == Level.OFF
        ? chosen(best, "no level would save %.0f %% of a step".formatted(100 * Beside.LEAST_GAIN))
        : chosen(
            best,
            String.format(
                Locale.ROOT,
                "%s; by the costs of %s a step's micro-batches take %.3g s instead of %.3g s",
                best.meaning(),
                costs.cluster().name(),
                least,
                whole));
  }

  private static double seconds(SubPipelining.Candidates step, Level level, ClusterCosts costs) {
    return Simulator.simulate(step.program().apply(level), costs).makespan();
  }

  private static SubPipelining.Chosen chosen(Level level, String why) {
    return new SubPipelining.Chosen(
        level, Optional.of("sub-pipeline auto is %d: %s".formatted(level.ordinal(), why)));
  }
}
