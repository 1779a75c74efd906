package dev.weft.runtime.trace;

import dev.weft.core.program.Queue;
import dev.weft.core.program.Timeline;
import java.util.ArrayList;
import java.util.List;

/**
 * What devices did in a step of training.
 *
 * @param step counting from 1
 * @param programs that they ran, one after another, in seconds since the step began; the first
 *     makes the gradients
 */
public record StepTrace(long step, List<Timeline> programs) {
  public StepTrace {
    programs = List.copyOf(programs);
    if (programs.isEmpty()) {
      throw new IllegalArgumentException("step " + step + " ran nothing");
    }
  }

  /** What happened while gradients were made. */
  public Timeline gradients() {
    return programs.getFirst();
  }

  /** The whole step in one timeline, with the memory that making gradients takes. */
  public Timeline whole(String title) {
    var events = new ArrayList<Timeline.Event>();
    var waits = new ArrayList<Timeline.Wait>();
    for (Timeline program : programs) {
      events.addAll(program.events());
      waits.addAll(program.waits());
    }
    return new Timeline(title, events, waits, gradients().levels());
  }

  /** From the beginning of a timeline's first event to the end of its last. */
  public static double makespan(Timeline timeline) {
    double begin = timeline.events().stream().mapToDouble(Timeline.Event::start).min().orElse(0);
    double end = timeline.events().stream().mapToDouble(Timeline.Event::end).max().orElse(begin);
    return end - begin;
  }

  /** How long all devices of a stage compute, added up; waits for collectives count. */
  public static double busy(Timeline timeline, int stage) {
    return timeline.events().stream()
        .filter(event -> event.queue() == Queue.COMPUTE && event.stage() == stage)
        .mapToDouble(event -> event.end() - event.start())
        .sum();
  }

  /** How long all devices of a stage wait for collectives while they compute, added up. */
  public static double waiting(Timeline timeline, int stage) {
    return timeline.waits().stream()
        .filter(wait -> wait.stage() == stage)
        .mapToDouble(wait -> wait.end() - wait.start())
        .sum();
  }
}
