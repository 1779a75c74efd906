package dev.weft.runtime.trace;

import dev.weft.core.program.Queue;
import dev.weft.core.program.Timeline;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Timelines in letters: a line per device, what it computes at equal distances of time. */
public final class TimelineText {
  private static final char IDLE = '.';

  private TimelineText() {}

  /**
   * What each device that computes does.
   *
   * @param columns most letters per line; fewer where a letter can stand for one unit of time
   * @return lines {@code 0 FFF..BB}, by stage and device
   */
  public static List<String> of(Timeline timeline, int columns) {
    double end = timeline.events().stream().mapToDouble(Timeline.Event::end).max().orElse(0);
    boolean units = end <= columns && end == Math.rint(end) && end > 0;
    int letters = units ? (int) end : columns;
    List<TimelineRow> rows =
        TimelineRow.of(timeline).stream().filter(row -> row.queue() == Queue.COMPUTE).toList();
    boolean several = rows.stream().anyMatch(row -> row.device() > 0);
    var lines = new ArrayList<String>();
    for (TimelineRow row : rows) {
      char[] line = new char[letters];
      Arrays.fill(line, IDLE);
      int next = 0;
      for (int column = 0; column < letters; column++) {
        double middle = (column + 0.5) * end / letters;
        while (next < row.events().size() && row.events().get(next).end() <= middle) {
          next++;
        }
        if (next < row.events().size() && row.events().get(next).start() <= middle) {
          line[column] = row.events().get(next).name().charAt(0);
        }
      }
      String place = row.stage() + (several ? "." + row.device() : "");
      lines.add("%6s  %s".formatted(place, new String(line)));
    }
    return lines;
  }
}
