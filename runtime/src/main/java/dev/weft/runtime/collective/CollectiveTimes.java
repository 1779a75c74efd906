package dev.weft.runtime.collective;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * When the collectives of a device were done.
 *
 * @param underWay from the device's own beginning of each to its end
 * @param waits when the device's computing thread waited for one
 */
public record CollectiveTimes(List<Span> underWay, List<Span> waits) {
  public CollectiveTimes {
    underWay = List.copyOf(underWay);
    waits = List.copyOf(waits);
  }

  /** A stretch of time, by {@link System#nanoTime}. */
  public record Span(String name, long began, long ended) {}

  /** Writes times down, while it is told to. */
  static final class Clock {
    private @Nullable List<Span> underWay;
    private @Nullable List<Span> waits;

    synchronized void start() {
      underWay = new ArrayList<>();
      waits = new ArrayList<>();
    }

    synchronized CollectiveTimes stop() {
      var times =
          new CollectiveTimes(
              underWay == null ? List.of() : underWay, waits == null ? List.of() : waits);
      underWay = null;
      waits = null;
      return times;
    }

    synchronized void done(String name, long began, long ended) {
      if (underWay != null) {
        underWay.add(new Span(name, began, ended));
      }
    }

    synchronized void waited(String name, long began, long ended) {
      if (waits != null) {
        waits.add(new Span(name, began, ended));
      }
    }
  }
}
