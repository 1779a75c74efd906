package dev.weft.core.cluster;

import java.util.Map;

/**
 * What a device can do.
 *
 * @param memory it holds
 * @param peaks floating point operations per second by data type, {@code f32}
 * @param bytesPerSecond of its memory, read and written
 * @param callSeconds what every call of a kernel takes at least
 * @param efficiency by class of work and data type, {@code matmul/f32}, or by class alone: the
 *     share of the peak by operations for products, that of memory's speed by bytes for all others
 */
public record DeviceProfile(
    Bytes memory,
    Map<String, Double> peaks,
    double bytesPerSecond,
    double callSeconds,
    Map<String, Curve> efficiency) {
  /** The class that stands for all that have no curve. */
  public static final String OTHERS = "elementwise";

  public DeviceProfile {
    peaks = Map.copyOf(peaks);
    efficiency = Map.copyOf(efficiency);
    if (!(bytesPerSecond > 0) || !(callSeconds >= 0)) {
      throw new UserException(
          "a device needs a memory speed above 0 and a time per call of at least 0, found "
              + bytesPerSecond
              + " and "
              + callSeconds);
    }
  }

  /**
   * The time of a call that is bound by arithmetic.
   *
   * @throws UserException if the device has no peak for the data type
   */
  public double arithmetic(String kind, String dtype, double flops) {
    Double peak = peaks.get(dtype);
    if (peak == null) {
      throw new UserException(
          "the cluster's devices have no peak rate for "
              + dtype
              + ", only for "
              + String.join(", ", peaks.keySet().stream().sorted().toList())
              + ": take one of these for --dtype or add it to the cluster's file");
    }
    return callSeconds + flops / (peak * share(kind, dtype, flops));
  }

  /** The time of a call that is bound by memory. */
  public double streaming(String kind, String dtype, double bytes) {
    return callSeconds + bytes / (bytesPerSecond * share(kind, dtype, bytes));
  }

  private double share(String kind, String dtype, double size) {
    Curve curve = efficiency.get(kind + "/" + dtype);
    if (curve == null) {
      curve = efficiency.get(kind);
    }
    if (curve == null) {
      curve = efficiency.getOrDefault(OTHERS + "/" + dtype, efficiency.get(OTHERS));
    }
    return curve == null ? 1 : curve.at(size);
  }
}
