package dev.weft.core.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.UserException;
import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class SchedulesTest {
  private static final double EPSILON = 1e-9;

  private static final Map<Work, Double> COSTS =
      Map.of(
          Work.FORWARD, 1.0,
          Work.RECOMPUTE, 1.0,
          Work.BACKWARD, 2.0,
          Work.INPUT_GRADIENT, 1.0,
          Work.WEIGHT_GRADIENT, 1.0);

  private static Order order(String schedule, Setting setting) {
    return Schedules.named(schedule).order(setting);
  }

  private static double makespan(Order order, double delay) {
    return OrderClock.of(order, COSTS, delay).makespan();
  }

  private static Setting allBut(Setting setting, int spared, RecomputeTiming timing) {
    var pieces = new HashSet<>(Settings.recomputingAll(setting, timing).recomputing());
    pieces.remove(spared);
    return setting.withRecomputing(pieces, timing);
  }

  private static String text(List<Action> actions) {
    return actions.stream().map(Action::toString).collect(Collectors.joining(" "));
  }

  @Property(tries = 60)
  void withoutRecomputeTheBubbleIsThatOfTheClosedForm(
      @ForAll @IntRange(min = 1, max = 9) int stages,
      @ForAll @IntRange(min = 1, max = 20) int microBatches) {
    for (String schedule : List.of("gpipe", "1f1b", "eager-1f1b")) {
      assertEquals(
          3.0 * (microBatches + stages - 1),
          makespan(order(schedule, Setting.of(stages, microBatches)), 0),
          EPSILON,
          schedule);
    }
  }

  @ParameterizedTest
  @CsvSource({"4,8,44,41,39,38,40", "4,16,76,73,71,70,72"})
  void recomputesOfFourStages(
      int stages,
      int microBatches,
      double inline,
      double early,
      double spared,
      double shifted,
      double strictWithoutThird) {
    Setting setting = Setting.of(stages, microBatches);
    for (String schedule : List.of("gpipe", "1f1b")) {
      assertEquals(
          inline,
          makespan(order(schedule, Settings.recomputingAll(setting, RecomputeTiming.INLINE)), 0));
      assertEquals(
          early,
          makespan(order(schedule, Settings.recomputingAll(setting, RecomputeTiming.EARLY)), 0));
    }
    assertEquals(
        spared, makespan(order("1f1b", allBut(setting, stages - 1, RecomputeTiming.EARLY)), 0));
    for (RecomputeTiming timing : RecomputeTiming.values()) {
      assertEquals(
          shifted, makespan(order("shifted", Settings.recomputingAll(setting, timing)), 0));
    }
    // Merak's first two rules without the third.
    Order plain = order("1f1b", allBut(setting, stages - 1, RecomputeTiming.INLINE));
    var waiting = new ArrayList<Set<Action>>();
    for (int stage = 0; stage < stages; stage++) {
      int first = microBatches - (stages - 1 - stage);
      waiting.add(
          plain.inline().get(stage).stream()
              .filter(action -> action.microBatch() < first)
              .collect(Collectors.toSet()));
    }
    assertEquals(
        strictWithoutThird,
        makespan(new Order("1f1b", 1, microBatches, plain.stages(), waiting), 0));
  }

  @Property(tries = 100)
  void recomputesFollowTheClosedForms(
      @ForAll @IntRange(min = 1, max = 8) int stages,
      @ForAll @IntRange(min = 4, max = 24) int microBatches) {
    Setting setting = Setting.of(stages, microBatches);
    double inline = 4.0 * (microBatches + stages - 1);
    for (String schedule : List.of("gpipe", "1f1b")) {
      assertEquals(
          inline,
          makespan(order(schedule, Settings.recomputingAll(setting, RecomputeTiming.INLINE)), 0));
      assertEquals(
          inline - (stages - 1),
          makespan(order(schedule, Settings.recomputingAll(setting, RecomputeTiming.EARLY)), 0));
    }
    if (microBatches >= stages && stages >= 3) {
      for (RecomputeTiming timing : RecomputeTiming.values()) {
        assertEquals(
            inline - (stages + 2),
            makespan(order("shifted", Settings.recomputingAll(setting, timing)), 0));
      }
    }
  }

  @Test
  void theLastRecomputeOfGPipeCanBeSpared() {
    Order order = order("gpipe", Settings.recomputingAll(Setting.of(4, 8), RecomputeTiming.EARLY));
    List<List<Action>> spared =
        order.stages().stream()
            .map(
                actions ->
                    actions.stream()
                        .filter(action -> !action.equals(Action.of(Work.RECOMPUTE, 7)))
                        .toList())
            .toList();
    assertEquals(40, makespan(new Order("gpipe", 1, 8, spared), 0));
  }

  @Test
  void linksDelay() {
    Setting setting = Setting.of(4, 16);
    assertEquals(71, makespan(order("1f1b", setting), 0.5));
    assertEquals(60, makespan(order("eager-1f1b", setting), 0.5));
    assertEquals(60, makespan(order("gpipe", setting), 0.5));
    assertEquals(
        82,
        makespan(order("shifted", Settings.recomputingAll(setting, RecomputeTiming.INLINE)), 0.5));
    assertEquals(
        74,
        makespan(order("shifted", Settings.recomputingAll(setting, RecomputeTiming.EARLY)), 0.5));
    assertEquals(
        76, makespan(order("1f1b", Settings.recomputingAll(setting, RecomputeTiming.EARLY)), 0.5));
  }

  @Property(tries = 60)
  void zeroBubbleWaitsOncePerStageOnly(
      @ForAll @IntRange(min = 1, max = 9) int stages,
      @ForAll @IntRange(min = 1, max = 30) int microBatches) {
    OrderClock clock =
        OrderClock.of(order("zero-bubble", Setting.of(stages, microBatches)), COSTS, 0);
    if (microBatches >= stages) {
      assertEquals(3.0 * microBatches + stages - 1, clock.makespan());
    }
    for (int stage = 0; stage < stages; stage++) {
      assertEquals(
          Math.min(microBatches, stages - stage),
          clock.peak(stage, Work.FORWARD, Work.INPUT_GRADIENT));
      assertEquals(
          Math.min(microBatches, stages), clock.peak(stage, Work.FORWARD, Work.WEIGHT_GRADIENT));
    }
  }

  @Property(tries = 60)
  void chunksDivideTheBubble(
      @ForAll @IntRange(min = 1, max = 6) int stages,
      @ForAll @IntRange(min = 1, max = 5) int groups,
      @ForAll @IntRange(min = 2, max = 4) int chunks) {
    Order order = order("interleaved", Setting.of(stages, stages * groups).withChunks(chunks));
    assertEquals(3.0 * (stages * groups * chunks + stages - 1), makespan(order, 0));
  }

  @ParameterizedTest
  @CsvSource({
    "gpipe,4,8,8 8 8 8",
    "1f1b,4,8,4 3 2 1",
    "1f1b,4,2,2 2 2 1",
    "eager-1f1b,4,8,7 5 3 1",
    "eager-1f1b,4,6,6 5 3 1",
    "shifted,4,8,4 3 3 1",
    "shifted,5,8,5 4 3 3 1",
    "zero-bubble,4,8,4 3 2 1",
  })
  void peaks(String schedule, int stages, int microBatches, String expected) {
    Order order = order(schedule, Setting.of(stages, microBatches));
    Work backward = schedule.equals("zero-bubble") ? Work.INPUT_GRADIENT : Work.BACKWARD;
    OrderClock clock = OrderClock.of(order, COSTS, 0);
    var peaks = new ArrayList<String>();
    for (int stage = 0; stage < stages; stage++) {
      peaks.add(String.valueOf(clock.peak(stage, Work.FORWARD, backward)));
    }
    assertEquals(expected, String.join(" ", peaks));
  }

  @Test
  void ordersAsPublished() {
    Setting shifted = Settings.recomputingAll(Setting.of(4, 5), RecomputeTiming.EARLY);
    assertEquals(
        "F0 F1 F2 R0 B0 R1 B1 F3 R2 B2 F4 R3 B3 R4 B4",
        text(order("shifted", shifted).stages().get(2)));
    assertEquals("F0 B0 F1 B1 F2 B2 F3 B3 F4 B4", text(order("shifted", shifted).stages().get(3)));
    assertEquals(
        "F0 F1 F0.1 F1.1 F2 B0.1 F3 B1.1 F2.1 B0 F3.1 B1 B2.1 B3.1 B2 B3",
        text(order("interleaved", Setting.of(2, 4).withChunks(2)).stages().get(0)));
    assertEquals(
        "F0 F1 I0 F2 I1 W0 F3 I2 W1 I3 W2 W3",
        text(order("zero-bubble", Setting.of(3, 4)).stages().get(1)));
  }

  @Property(tries = 100)
  void everyActionStandsOnceAndEveryOrderEnds(
      @ForAll @IntRange(min = 1, max = 6) int stages,
      @ForAll @IntRange(min = 1, max = 13) int microBatches,
      @ForAll @IntRange(min = 1, max = 3) int chunks,
      @ForAll RecomputeTiming timing) {
    Setting setting =
        Settings.recomputingAll(Setting.of(stages, microBatches).withChunks(chunks), timing);
    for (String name : Schedules.names()) {
      Schedule schedule = Schedules.named(name);
      if (schedule.obstacle(setting).isPresent()) {
        assertThrows(UserException.class, () -> schedule.order(setting));
        continue;
      }
      Order order = schedule.order(setting);
      for (int stage = 0; stage < stages; stage++) {
        List<Action> actions = order.stages().get(stage);
        assertEquals(actions.size(), Set.copyOf(actions).size());
        for (Work work : List.of(Work.FORWARD, Work.BACKWARD, Work.INPUT_GRADIENT)) {
          long count = actions.stream().filter(action -> action.work() == work).count();
          boolean used = work == Work.FORWARD || count > 0;
          assertEquals(used ? microBatches * chunks : 0, count);
        }
      }
      // Fails where stages wait for one another.
      OrderClock.of(order, COSTS, 0.25);
    }
  }

  @Test
  void whatAScheduleCannotRunItSays() {
    assertEquals(
        "schedule shifted needs at least as many micro-batches as stages, and at least 4, found"
            + " --stages 8 --micro-batches 6: raise --micro-batches to 8 or take --schedule 1f1b",
        assertThrows(UserException.class, () -> order("shifted", Setting.of(8, 6))).getMessage());
    assertEquals(
        "schedule interleaved needs micro-batches in groups of as many as there are stages, found"
            + " --stages 4 --micro-batches 6: change --micro-batches to 8 or take --schedule 1f1b",
        assertThrows(
                UserException.class, () -> order("interleaved", Setting.of(4, 6).withChunks(2)))
            .getMessage());
    assertEquals(
        "schedule 1f1b needs one chunk per stage, found --chunks 2: leave --chunks out or take"
            + " --schedule interleaved",
        assertThrows(UserException.class, () -> order("1f1b", Setting.of(4, 6).withChunks(2)))
            .getMessage());
    assertEquals(
        "no schedule '1f1bb'; did you mean '1f1b'?; there are gpipe, 1f1b, eager-1f1b, shifted,"
            + " interleaved, zero-bubble",
        assertThrows(UserException.class, () -> Schedules.named("1f1bb")).getMessage());
    assertTrue(
        assertThrows(UserException.class, () -> Setting.of(0, 4))
            .getMessage()
            .contains("--stages must be at least 1, found 0"));
  }
}
