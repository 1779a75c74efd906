package dev.weft.runtime.collective;

import java.util.concurrent.atomic.LongAdder;

/**
 * What collectives cost one device so far.
 *
 * @param count how many were done
 * @param bytesSent on a ring, by {@link dev.weft.core.collective.Collective#bytesSent}
 * @param underWayNanos from this device's beginning to the end, summed
 * @param runningNanos from the last member's beginning to the end, summed
 * @param exposedNanos how long the device's computing thread waited, for members that were late too
 */
public record CollectiveCounters(
    long count, long bytesSent, long underWayNanos, long runningNanos, long exposedNanos) {

  /** What was added since. */
  public CollectiveCounters minus(CollectiveCounters before) {
    return new CollectiveCounters(
        count - before.count,
        bytesSent - before.bytesSent,
        underWayNanos - before.underWayNanos,
        runningNanos - before.runningNanos,
        exposedNanos - before.exposedNanos);
  }

  /** Counts, for one device. */
  static final class Meter {
    private final LongAdder count = new LongAdder();
    private final LongAdder bytes = new LongAdder();
    private final LongAdder underWay = new LongAdder();
    private final LongAdder running = new LongAdder();
    private final LongAdder exposed = new LongAdder();

    void done(long sent, long underWayNanos, long runningNanos) {
      count.increment();
      bytes.add(sent);
      underWay.add(underWayNanos);
      running.add(runningNanos);
    }

    void waited(long nanos) {
      exposed.add(nanos);
    }

    CollectiveCounters read() {
      return new CollectiveCounters(
          count.sum(), bytes.sum(), underWay.sum(), running.sum(), exposed.sum());
    }
  }
}
