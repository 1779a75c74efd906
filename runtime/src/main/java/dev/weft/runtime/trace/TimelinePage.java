package dev.weft.runtime.trace;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.program.Timeline;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;

/** Timelines as a page of HTML that needs nothing but a browser: no network, no other file. */
public final class TimelinePage {
  private static final String PAGE = "timeline.html";
  private static final String DATA = "/*DATA*/null";

  private TimelinePage() {}

  /**
   * The page of a timeline: a row per device and queue, and the memory of each device.
   *
   * @throws dev.weft.core.cluster.UserException if there are more events than viewers can show
   */
  public static String of(Timeline timeline) {
    return of(timeline.title(), List.of(timeline));
  }

  /**
   * The page of some timelines, one below the other on one axis of time.
   *
   * @throws dev.weft.core.cluster.UserException if one has more events than viewers can show
   */
  public static String of(String title, List<Timeline> timelines) {
    ObjectNode page = new ObjectMapper().createObjectNode();
    page.put("title", title);
    ArrayNode charts = page.putArray("charts");
    timelines.forEach(timeline -> charts.add(data(timeline)));
    // No text within may end the script that it stands in.
    String data = page.toString().replace("<", "\\u003c");
    return template().replace(DATA, data);
  }

  private static ObjectNode data(Timeline timeline) {
    ObjectNode data = new ObjectMapper().createObjectNode();
    data.put("title", timeline.title());
    ArrayNode rows = data.putArray("rows");
    for (TimelineRow row : TimelineRow.of(timeline)) {
      ObjectNode node = rows.addObject();
      node.put("stage", row.stage()).put("device", row.device());
      node.put("queue", row.queue().text()).put("label", row.label());
      ArrayNode events = node.putArray("events");
      for (Timeline.Event event : row.events()) {
        events.addArray().add(event.name()).add(event.start()).add(event.end());
      }
      if (!row.waits().isEmpty()) {
        ArrayNode waits = node.putArray("waits");
        row.waits().forEach(wait -> waits.addArray().add(wait.start()).add(wait.end()));
      }
    }
    ArrayNode levels = data.putArray("levels");
    for (Timeline.Level level : timeline.levels()) {
      levels.addArray().add(level.stage()).add(level.device()).add(level.time()).add(level.bytes());
    }
    return data;
  }

  private static String template() {
    try (InputStream page =
        Objects.requireNonNull(TimelinePage.class.getResourceAsStream(PAGE), PAGE)) {
      return new String(page.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
