package dev.weft.core.cluster;

/**
 * A way for data from one place to another, one transfer at a time.
 *
 * @param latency until a byte that was sent is there; the link is free for others meanwhile
 * @param bytesPerSecond may be infinite
 */
public record Link(double latency, double bytesPerSecond) {
  /** Takes no time. */
  public static final Link FREE = new Link(0, Double.POSITIVE_INFINITY);

  public Link {
    if (!(latency >= 0) || !(bytesPerSecond > 0)) {
      throw new IllegalArgumentException(latency + " s, " + bytesPerSecond + " bytes/s");
    }
  }

  /** How long a transfer keeps the link from others. */
  public double occupancy(long bytes) {
    return bytes / bytesPerSecond;
  }
}
