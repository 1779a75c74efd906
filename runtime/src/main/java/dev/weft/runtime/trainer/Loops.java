package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.overlap.CollectiveMatmul;
import dev.weft.core.simulate.ClusterCosts;
import dev.weft.core.simulate.Exposure;
import dev.weft.nn.step.MatmulLooping;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Reads what a user writes about looped collective matmul. */
public final class Loops {
  static final String NONE = "none";

  private Loops() {}

  /**
   * The rule for devices that are threads of this process.
   *
   * @param text {@code none}, {@code looped} or {@code auto}
   * @param threads cores that all devices together compute on
   * @throws UserException if the text is none of these
   */
  public static MatmulLooping parse(String text, int threads) {
    return switch (text) {
      case NONE -> MatmulLooping.OFF;
      case "looped" -> MatmulLooping.ON;
      case "auto" ->
          (graphs, mesh) -> {
            Beside beside = Beside.of(mesh.size(), threads);
            return beside
                .machine()
                .map(machine -> priced(graphs, mesh, machine))
                .orElseGet(() -> chosen(false, beside.why()));
          };
      default ->
          throw new UserException(
              "collective-matmul must be none, looped or auto, found '" + text + "'");
    };
  }

  /** Whether loops are faster by the costs of a cluster. */
  static MatmulLooping.Chosen priced(List<Graph> graphs, Mesh mesh, Cluster cluster) {
    var costs = new ClusterCosts(cluster, mesh.size());
    double whole = seconds(graphs, mesh, costs);
    double looped = seconds(graphs.stream().map(CollectiveMatmul::apply).toList(), mesh, costs);
    boolean gains = looped < (1 - Beside.LEAST_GAIN) * whole;
    return chosen(
        gains,
        String.format(
            Locale.ROOT,
            "by the costs of %s what a micro-batch computes takes %.3g s looped and %.3g s not",
            cluster.name(),
            looped,
            whole));
  }

  private static double seconds(List<Graph> graphs, Mesh mesh, ClusterCosts costs) {
    return graphs.stream().mapToDouble(graph -> Exposure.of(graph, mesh, costs, 0).time()).sum();
  }

  private static MatmulLooping.Chosen chosen(boolean loops, String why) {
    return new MatmulLooping.Chosen(
        loops,
        Optional.of("collective-matmul auto is %s: %s".formatted(loops ? "looped" : NONE, why)));
  }
}
