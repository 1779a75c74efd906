package dev.weft.core.cluster;

import java.util.Arrays;

/**
 * How fast devices went while they were measured, over time: what others on a machine take of it
 * comes and goes, on each device at times of its own. After the last moment it begins anew.
 *
 * @param moment how long each speed holds, in seconds
 * @param speeds by device and moment, as shares of what each device does on average; above 0
 */
public record Pace(double moment, double[][] speeds) {
  public Pace {
    speeds = Arrays.stream(speeds).map(double[]::clone).toArray(double[][]::new);
    if (!(moment > 0) || speeds.length == 0 || speeds[0].length == 0) {
      throw new IllegalArgumentException(
          "a pace of %d devices in moments of %s s".formatted(speeds.length, moment));
    }
    for (double[] device : speeds) {
      if (device.length != speeds[0].length || !Arrays.stream(device).allMatch(s -> s > 0)) {
        throw new IllegalArgumentException(
            "every device needs as many speeds, all above 0: " + Arrays.toString(device));
      }
    }
  }

  /** How many moments there are. */
  public int moments() {
    return speeds[0].length;
  }

  /** The same, but that it begins so many moments later. */
  public Pace from(int first) {
    return new Pace(
        moment,
        Arrays.stream(speeds)
            .map(
                device -> {
                  double[] turned = new double[device.length];
                  for (int i = 0; i < device.length; i++) {
                    turned[i] = device[Math.floorMod(first + i, device.length)];
                  }
                  return turned;
                })
            .toArray(double[][]::new));
  }

  /**
   * When work ends that some devices do together, all waiting for the slowest at every moment.
   *
   * @param first number of the first; beyond those measured they are counted anew
   * @param count how many
   * @param begin in seconds
   * @param work in seconds at average speed
   */
  public double end(int first, int count, double begin, double work) {
    double left = work;
    double now = begin;
    long slot = (long) Math.floor(begin / moment);
    while (true) {
      double speed = speed(first, count, slot);
      double until = (slot + 1) * moment;
      double done = Math.max(0, until - now) * speed;
      if (done >= left) {
        return now + left / speed;
      }
      left -= done;
      now = Math.max(now, until);
      slot++;
    }
  }

  private double speed(int first, int count, long slot) {
    int at = (int) Math.floorMod(slot, (long) moments());
    double slowest = Double.POSITIVE_INFINITY;
    for (int device = first; device < first + Math.min(count, speeds.length); device++) {
      slowest = Math.min(slowest, speeds[device % speeds.length][at]);
    }
    return slowest;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Pace that
        && moment == that.moment
        && Arrays.deepEquals(speeds, that.speeds);
  }

  @Override
  public int hashCode() {
    return Arrays.deepHashCode(speeds);
  }

  @Override
  public String toString() {
    return moment + " s: " + Arrays.deepToString(speeds);
  }
}
