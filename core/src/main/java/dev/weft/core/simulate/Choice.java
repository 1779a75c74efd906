package dev.weft.core.simulate;

import dev.weft.core.program.Order;
import dev.weft.core.program.Timeline;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Setting;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * The order that is run: the schedule's own, or another where that would be slower than a plain one
 * for the costs at hand.
 *
 * @param considered what was simulated, the schedule's own first; it alone where it has no rivals
 * @param taken one of these
 */
public record Choice(List<Candidate> considered, Candidate taken) {
  private static final double EQUAL = 1e-9;

  /** An order, what it is called, and how long it takes. */
  public record Candidate(String name, Order order, double makespan) {}

  public Choice {
    considered = List.copyOf(considered);
  }

  /** The schedule's own order, then its rivals. */
  static List<Schedule.Rival> candidates(Schedule schedule, Setting setting) {
    var candidates = new ArrayList<Schedule.Rival>();
    candidates.add(new Schedule.Rival(schedule.name(), schedule.order(setting), false));
    candidates.addAll(schedule.rivals(setting));
    return candidates;
  }

  /**
   * Takes the schedule's order unless a plainer one is quicker; then the quickest.
   *
   * @param makespan how long an order takes
   * @throws dev.weft.core.cluster.UserException if the schedule cannot run in such a setting
   */
  public static Choice of(Schedule schedule, Setting setting, ToDoubleFunction<Order> makespan) {
    return of(candidates(schedule, setting), makespan);
  }

  /** The same for a schedule's candidates. */
  static Choice of(List<Schedule.Rival> candidates, ToDoubleFunction<Order> makespan) {
    var considered = new ArrayList<Candidate>();
    boolean loses = false;
    for (Schedule.Rival rival : candidates) {
      var candidate =
          new Candidate(rival.name(), rival.order(), makespan.applyAsDouble(rival.order()));
      considered.add(candidate);
      loses |= rival.plain() && candidate.makespan < considered.getFirst().makespan * (1 - EQUAL);
    }
    return new Choice(
        considered,
        loses
            ? considered.stream().min(Comparator.comparingDouble(Candidate::makespan)).orElseThrow()
            : considered.getFirst());
  }

  /** What was taken instead of what was asked for, and why; empty where that was taken. */
  public Optional<String> remark() {
    Candidate asked = considered.getFirst();
    return taken == asked
        ? Optional.empty()
        : Optional.of(
            asked.name
                + " would take "
                + Timeline.text(asked.makespan)
                + " here; taken instead: "
                + taken.name
                + ", which takes "
                + Timeline.text(taken.makespan));
  }

  /** The same in words for costs that are in no unit of time. */
  public Optional<String> comparison() {
    Candidate asked = considered.getFirst();
    return taken == asked
        ? Optional.empty()
        : Optional.of(
            "schedule %s would take %.3g times as long here as %s: that is taken instead"
                .formatted(asked.name, asked.makespan / taken.makespan, taken.name));
  }
}
