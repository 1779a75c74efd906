package dev.weft.core.program;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.List;

/**
 * What devices did when, in a run or in a simulation. Times are seconds since the beginning, or
 * units of cost.
 *
 * @param title what was run
 * @param events in any order; those of one device and queue do not overlap, but for receives and
 *     collectives
 * @param waits when devices, while they compute an event, do nothing but wait for collectives
 * @param levels memory in use, by time
 */
public record Timeline(String title, List<Event> events, List<Wait> waits, List<Level> levels) {
  /** The most events that fit people and viewers. */
  public static final int MOST_EVENTS = 400_000;

  public Timeline {
    events = List.copyOf(events);
    waits = List.copyOf(waits);
    levels = List.copyOf(levels);
  }

  /**
   * Something that a queue did.
   *
   * @param device within its stage; 0 stands for all where they are alike
   * @param name of computing an action's text, {@code F0}; else the value and the micro-batch
   */
  public record Event(int stage, int device, Queue queue, String name, double start, double end) {}

  /** A time in which a device that computes waits for others. */
  public record Wait(int stage, int device, double start, double end) {}

  /** From that time on a device uses so many bytes. */
  public record Level(int stage, int device, double time, long bytes) {}

  /** A time as people write it: nine digits at most, no zeros behind. */
  public static String text(double time) {
    return new BigDecimal(time, new MathContext(9)).stripTrailingZeros().toPlainString();
  }

  /** What a step is called: its action, {@code h.3 #7 to 2}, or its fragment where it is once. */
  public static String name(StageProgram stage, Step step) {
    String number = step.microBatch() == Step.ONCE ? "" : " #" + step.microBatch();
    return switch (step) {
      case Step.Run run -> {
        Fragment fragment = stage.fragments().get(run.fragment());
        yield run.microBatch() == Step.ONCE
            ? fragment.name()
            : new Action(fragment.work(), run.microBatch(), fragment.chunk()).toString();
      }
      case Step.Feed _ -> "feed" + number;
      case Step.Send send ->
          stage.buffers().get(send.buffer()).name() + number + " to " + send.stage();
      case Step.Receive receive ->
          stage.buffers().get(receive.buffer()).name() + number + " from " + receive.stage();
    };
  }
}
