package dev.weft.core.cluster;

import java.util.List;

/**
 * What share of a limit is reached, by the size of the work. Between two points it follows the
 * logarithm of the size; beyond the ends it stays what it is there.
 *
 * @param points by size, ascending
 */
public record Curve(List<Point> points) {
  /**
   * A measurement.
   *
   * @param size operations or bytes of one call
   * @param share of the limit, above 0
   */
  public record Point(double size, double share) {}

  public Curve {
    points = List.copyOf(points);
    if (points.isEmpty()) {
      throw new UserException("an efficiency needs at least one point [size, share]");
    }
    double before = 0;
    for (Point point : points) {
      if (!(point.size() > before) || !(point.share() > 0) || Double.isInfinite(point.share())) {
        throw new UserException(
            "an efficiency needs points [size, share] with ascending sizes and shares above 0,"
                + " found ["
                + point.size()
                + ", "
                + point.share()
                + "]");
      }
      before = point.size();
    }
  }

  /** The share at a size. */
  public double at(double size) {
    Point low = points.getFirst();
    if (size <= low.size()) {
      return low.share();
    }
    for (Point high : points.subList(1, points.size())) {
      if (size <= high.size()) {
        double part = Math.log(size / low.size()) / Math.log(high.size() / low.size());
        return low.share() + part * (high.share() - low.share());
      }
      low = high;
    }
    return low.share();
  }
}
