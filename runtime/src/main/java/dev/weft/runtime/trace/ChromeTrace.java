package dev.weft.runtime.trace;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.program.Timeline;
import java.util.List;

/**
 * Timelines as trace events, the JSON that Perfetto and chrome://tracing read: a process per
 * device, a thread per queue, a counter of memory. Waits for collectives lie within what a device
 * computes. A unit of time is a second.
 */
public final class ChromeTrace {
  private static final double MICROSECONDS = 1e6;
  private static final int DEVICES = 1 << 16;
  private static final int LANES = 1 << 10;

  /** Neither half, the first and the second. */
  private static final int HALVES = 3;

  private static final int TIMELINES = 1 << 28;

  private ChromeTrace() {}

  /**
   * The trace of a timeline.
   *
   * @throws dev.weft.core.cluster.UserException if there are more events than viewers can show
   */
  public static ObjectNode of(Timeline timeline) {
    return of(List.of(timeline));
  }

  /**
   * The trace of some timelines, one below the other; where there are several, devices carry their
   * titles.
   *
   * @param timelines at most 8
   * @throws dev.weft.core.cluster.UserException if there are more events than viewers can show
   */
  public static ObjectNode of(List<Timeline> timelines) {
    ObjectNode trace = new ObjectMapper().createObjectNode();
    trace.put("displayTimeUnit", "ms");
    ArrayNode events = trace.putArray("traceEvents");
    for (int i = 0; i < timelines.size(); i++) {
      Timeline timeline = timelines.get(i);
      add(events, timeline, i * TIMELINES, timelines.size() > 1 ? timeline.title() + ": " : "");
    }
    return trace;
  }

  private static void add(ArrayNode events, Timeline timeline, int offset, String title) {
    int named = -1;
    for (TimelineRow row : TimelineRow.of(timeline)) {
      int process = offset + process(row.stage(), row.device());
      int half = row.half().isEmpty() ? 0 : 1 + row.half().charAt(0) - 'a';
      int thread = (row.queue().ordinal() * HALVES + half) * LANES + row.lane();
      if (process != named) {
        named = process;
        metadata(events, "process_name", process, 0)
            .put("name", title + "stage " + row.stage() + " device " + row.device());
        metadata(events, "process_sort_index", process, 0).put("sort_index", process);
      }
      metadata(events, "thread_name", process, thread).put("name", row.label());
      metadata(events, "thread_sort_index", process, thread).put("sort_index", thread);
      for (Timeline.Event event : row.events()) {
        events
            .addObject()
            .put("ph", "X")
            .put("name", event.name())
            .put("cat", row.queue().text())
            .put("pid", process)
            .put("tid", thread)
            .put("ts", event.start() * MICROSECONDS)
            .put("dur", (event.end() - event.start()) * MICROSECONDS);
      }
      for (Timeline.Wait wait : row.waits()) {
        events
            .addObject()
            .put("ph", "X")
            .put("name", "wait")
            .put("cat", "wait")
            .put("pid", process)
            .put("tid", thread)
            .put("ts", wait.start() * MICROSECONDS)
            .put("dur", (wait.end() - wait.start()) * MICROSECONDS);
      }
    }
    for (Timeline.Level level : timeline.levels()) {
      events
          .addObject()
          .put("ph", "C")
          .put("name", "memory")
          .put("pid", offset + process(level.stage(), level.device()))
          .put("ts", level.time() * MICROSECONDS)
          .putObject("args")
          .put("bytes", level.bytes());
    }
  }

  private static int process(int stage, int device) {
    return stage * DEVICES + device;
  }

  private static ObjectNode metadata(ArrayNode events, String name, int process, int thread) {
    return events
        .addObject()
        .put("ph", "M")
        .put("name", name)
        .put("pid", process)
        .put("tid", thread)
        .putObject("args");
  }
}
