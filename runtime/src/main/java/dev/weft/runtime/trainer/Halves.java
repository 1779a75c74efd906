package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.overlap.Level;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.Exposure;
import dev.weft.nn.step.ShardedStep;
import dev.weft.nn.step.SubPipelining;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Reads what a user writes about sub-pipelines. */
public final class Halves {
  /** What chooses the fastest level. */
  private static final String AUTO = "auto";

  private Halves() {}

  /**
   * The rule for devices that are threads of this process.
   *
   * @param text a number from 0 to 3, or {@code auto}
   * @param threads cores that all devices together compute on
   * @throws UserException if the text is neither
   */
  public static SubPipelining parse(String text, int threads) {
    if (text.equals(AUTO)) {
      return (passes, mesh) -> embedded(passes, mesh, threads);
    }
    return SubPipelining.at(
        Level.of(text)
            .orElseThrow(
                () ->
                    new UserException(
                        "sub-pipeline must be 0, 1, 2, 3 or auto, found '" + text + "'")));
  }

  private static SubPipelining.Chosen embedded(
      List<ShardedStep.Pass> passes, Mesh mesh, int threads) {
    Beside beside = Beside.of(mesh, threads);
    return beside
        .machine()
        .map(machine -> priced(passes, mesh, machine))
        .orElseGet(() -> chosen(Level.OFF, beside.why()));
  }

  /** The fastest level by the costs of a cluster. */
  static SubPipelining.Chosen priced(List<ShardedStep.Pass> passes, Mesh mesh, Cluster cluster) {
    var costs = new ClusterCosts(cluster, mesh.size());
    double whole = seconds(passes, mesh, costs);
    Level best = Level.OFF;
    double least = (1 - Beside.LEAST_GAIN) * whole;
    if (passes.stream().allMatch(Halves::hasTwoRows)) {
      for (Level level : Level.values()) {
        double seconds = seconds(ShardedStep.inHalves(passes, level), mesh, costs);
        if (seconds < least) {
          best = level;
          least = seconds;
        }
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
                cluster.name(),
                least,
                whole));
  }

  private static boolean hasTwoRows(ShardedStep.Pass pass) {
    return pass.half().partitioned().graph().inputs(Graph.Kind.DATA).stream()
        .filter(value -> value.type().rank() > 0)
        .allMatch(value -> value.type().size(0) >= 2);
  }

  private static double seconds(List<ShardedStep.Pass> passes, Mesh mesh, ClusterCosts costs) {
    return passes.stream()
        .mapToDouble(
            pass ->
                pass.count() * Exposure.of(pass.half().partitioned().graph(), mesh, costs).time())
        .sum();
  }

  private static SubPipelining.Chosen chosen(Level level, String why) {
    return new SubPipelining.Chosen(
        level, Optional.of("sub-pipeline auto is %d: %s".formatted(level.ordinal(), why)));
  }
}
