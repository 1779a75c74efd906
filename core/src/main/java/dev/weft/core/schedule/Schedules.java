package dev.weft.core.schedule;

import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import java.util.List;

/** All schedules. */
public final class Schedules {
  private static final List<Schedule> ALL =
      List.of(
          new GPipe(),
          new OneForwardOneBackward(),
          new EagerOneForwardOneBackward(),
          new Shifted(),
          new Interleaved(),
          new ZeroBubble());

  private Schedules() {}

  public static List<String> names() {
    return ALL.stream().map(Schedule::name).toList();
  }

  /**
   * The schedule of that name.
   *
   * @throws UserException if there is none
   */
  public static Schedule named(String name) {
    for (Schedule schedule : ALL) {
      if (schedule.name().equals(name)) {
        return schedule;
      }
    }
    throw new UserException(
        "no schedule '"
            + name
            + "'"
            + Suggestion.hint(name, names())
            + "; there are "
            + String.join(", ", names()));
  }
}
