package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Cluster;
import dev.weft.runtime.cluster.ClusterFile;
import java.util.Optional;

/**
 * Whether devices that are threads of this process can send beside computing, and by whose prices.
 *
 * @param machine this one as it was measured; empty where nothing could be hidden
 * @param why not, in words
 */
record Beside(Optional<Cluster> machine, String why) {
  /** What part of a step must be saved for a choice: prices are not more exact. */
  static final double LEAST_GAIN = 0.02;

  /**
   * Of this machine.
   *
   * @param devices all of them
   * @param threads cores that all devices together compute on
   */
  static Beside of(int devices, int threads) {
    int cores = Runtime.getRuntime().availableProcessors();
    if (threads >= cores) {
      return new Beside(
          Optional.empty(),
          "devices compute on all %d cores, which also do what is sent: nothing could run beside it"
              .formatted(cores));
    }
    return new Beside(
        ClusterFile.measured().map(machine -> machine.withAtLeast(devices).overlapping()),
        "this machine is not measured, see weft cluster profile");
  }
}
