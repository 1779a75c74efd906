package dev.weft.runtime.trace;

import dev.weft.core.cluster.UserException;
import dev.weft.core.overlap.HalfName;
import dev.weft.core.program.Queue;
import dev.weft.core.program.Timeline;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;

/**
 * A queue of a device, or a part of one whose events overlap, or are of one half of a batch.
 *
 * @param half of which half of a device's rows the collectives are, {@code a} or {@code b}; empty
 *     for all else
 * @param lane 0 for the first part
 * @param events by time, none beginning before the one before it has ended
 * @param waits of the device that computes, in the first part of its queue; by time
 */
record TimelineRow(
    int stage,
    int device,
    Queue queue,
    String half,
    int lane,
    List<Timeline.Event> events,
    List<Timeline.Wait> waits) {
  private record Place(int stage, int device, Queue queue, String half) {
    static final Comparator<Place> ORDER =
        Comparator.comparingInt(Place::stage)
            .thenComparingInt(Place::device)
            .thenComparing(Place::queue)
            .thenComparing(Place::half);
  }

  private static String half(Timeline.Event event) {
    return event.queue() == Queue.COLLECTIVE ? HalfName.in(event.name()).orElse("") : "";
  }

  /** What the row is called, beside its device. */
  String label() {
    return half.isEmpty() ? queue.text() : queue.text() + ", half " + half;
  }

  /**
   * All rows of a timeline, by stage, device, queue and half.
   *
   * @throws UserException if there are more events than viewers can show
   */
  static List<TimelineRow> of(Timeline timeline) {
    if (timeline.events().size() > Timeline.MOST_EVENTS) {
      throw new UserException(
          "the timeline has "
              + timeline.events().size()
              + " events, and viewers show at most "
              + Timeline.MOST_EVENTS
              + ": take fewer stages or micro-batches");
    }
    var places = new TreeMap<Place, List<Timeline.Event>>(Place.ORDER);
    for (Timeline.Event event : timeline.events()) {
      places
          .computeIfAbsent(
              new Place(event.stage(), event.device(), event.queue(), half(event)),
              _ -> new ArrayList<>())
          .add(event);
    }
    var waits = new TreeMap<Place, List<Timeline.Wait>>(Place.ORDER);
    for (Timeline.Wait wait : timeline.waits()) {
      waits
          .computeIfAbsent(
              new Place(wait.stage(), wait.device(), Queue.COMPUTE, ""), _ -> new ArrayList<>())
          .add(wait);
    }
    waits.values().forEach(own -> own.sort(Comparator.comparingDouble(Timeline.Wait::start)));
    var rows = new ArrayList<TimelineRow>();
    places.forEach(
        (place, events) -> {
          events.sort(
              Comparator.comparingDouble(Timeline.Event::start)
                  .thenComparingDouble(Timeline.Event::end));
          var lanes = new ArrayList<List<Timeline.Event>>();
          for (Timeline.Event event : events) {
            lanes.stream()
                .filter(lane -> lane.getLast().end() <= event.start())
                .findFirst()
                .orElseGet(
                    () -> {
                      lanes.add(new ArrayList<>());
                      return lanes.getLast();
                    })
                .add(event);
          }
          for (int lane = 0; lane < lanes.size(); lane++) {
            rows.add(
                new TimelineRow(
                    place.stage,
                    place.device,
                    place.queue,
                    place.half,
                    lane,
                    lanes.get(lane),
                    lane == 0 ? waits.getOrDefault(place, List.of()) : List.of()));
          }
        });
    return rows;
  }
}
