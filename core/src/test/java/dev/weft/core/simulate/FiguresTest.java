package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.program.Order;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.OrderClock;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.schedule.Settings;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Published figures of schedules, from programs of equal stages. */
final class FiguresTest {
  private static final double EPSILON = 1e-9;
  private static final Map<Work, Double> COSTS = UnitCosts.parse("F=1,B=2,R=1");

  private static Simulation simulate(Order order, Map<Work, Double> costs, double delay) {
    int stages = order.stages().size();
    return Simulator.simulate(
        EqualStages.program(order), UnitCosts.of(costs, stages * order.chunks(), stages, delay));
  }

  private static Simulation simulate(String schedule, Setting setting, double delay) {
    return simulate(Schedules.named(schedule).order(setting), COSTS, delay);
  }

  @ParameterizedTest
  @CsvSource({"4,.4286", "8,.2727", "16,.1579"})
  void bubblesOfFourStages(int microBatches, double bubble) {
    for (String schedule : List.of("gpipe", "1f1b", "eager-1f1b")) {
      assertEquals(
          bubble, simulate(schedule, Setting.of(4, microBatches), 0).bubble(), 5e-5, schedule);
    }
  }

  @Property(tries = 40)
  void bubblesFollowTheClosedForm(
      @ForAll @IntRange(min = 1, max = 8) int stages,
      @ForAll @IntRange(min = 1, max = 20) int microBatches) {
    for (String schedule : List.of("gpipe", "1f1b", "eager-1f1b")) {
      assertEquals(
          (stages - 1.0) / (microBatches + stages - 1),
          simulate(schedule, Setting.of(stages, microBatches), 0).bubble(),
          EPSILON,
          schedule);
    }
  }

  @Property(tries = 40)
  void chunksDivideTheTimeOfTheBubble(
      @ForAll @IntRange(min = 1, max = 5) int stages,
      @ForAll @IntRange(min = 1, max = 4) int groups,
      @ForAll @IntRange(min = 2, max = 4) int chunks) {
    int microBatches = stages * groups;
    Simulation found =
        simulate("interleaved", Setting.of(stages, microBatches).withChunks(chunks), 0);
    double idle = 3.0 * (stages - 1) / chunks;
    assertEquals(3.0 * microBatches + idle, found.makespan(), EPSILON);
    assertEquals(idle / (3.0 * microBatches + idle), found.bubble(), EPSILON);
  }

  @ParameterizedTest
  @CsvSource({"4,8,44,41,39,38", "4,16,76,73,71,70"})
  void recomputesOfFourStages(
      int stages, int microBatches, double inline, double early, double spared, double shifted) {
    Setting setting = Setting.of(stages, microBatches);
    for (String schedule : List.of("gpipe", "1f1b")) {
      assertEquals(
          inline,
          simulate(schedule, Settings.recomputingAll(setting, RecomputeTiming.INLINE), 0)
              .makespan(),
          schedule);
      assertEquals(
          early,
          simulate(schedule, Settings.recomputingAll(setting, RecomputeTiming.EARLY), 0).makespan(),
          schedule);
    }
    var pieces = new HashSet<>(List.of(0, 1, 2));
    assertEquals(
        spared,
        simulate("1f1b", setting.withRecomputing(pieces, RecomputeTiming.EARLY), 0).makespan());
    for (RecomputeTiming timing : RecomputeTiming.values()) {
      assertEquals(
          shifted,
          simulate("shifted", Settings.recomputingAll(setting, timing), 0).makespan(),
          timing::text);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1f1b,false,EARLY,71",
    "eager-1f1b,false,EARLY,60",
    "gpipe,false,EARLY,60",
    "shifted,true,INLINE,82",
    "shifted,true,EARLY,74",
    "1f1b,true,EARLY,76",
  })
  void slowLinks(String schedule, boolean recompute, RecomputeTiming timing, double makespan) {
    Setting setting = Setting.of(4, 16);
    assertEquals(
        makespan,
        simulate(schedule, recompute ? Settings.recomputingAll(setting, timing) : setting, 0.5)
            .makespan());
  }

  @Property(tries = 40)
  void zeroBubble(
      @ForAll @IntRange(min = 1, max = 8) int stages,
      @ForAll @IntRange(min = 0, max = 12) int further) {
    int microBatches = stages + further;
    Simulation found = simulate("zero-bubble", Setting.of(stages, microBatches), 0);
    assertEquals(3.0 * microBatches + stages - 1, found.makespan());
    for (Simulation.StageUse use : found.stages()) {
      assertEquals(stages - use.stage(), use.peakLive());
      assertEquals(stages, use.peakHeld());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "gpipe,4,8,8 8 8 8",
    "1f1b,4,8,4 3 2 1",
    "1f1b,4,2,2 2 2 1",
    "eager-1f1b,4,8,7 5 3 1",
    "shifted,4,8,4 3 3 1",
    "shifted,5,8,5 4 3 3 1",
  })
  void peaks(String schedule, int stages, int microBatches, String expected) {
    Simulation found =
        simulate(
            schedule,
            Settings.recomputingAll(Setting.of(stages, microBatches), RecomputeTiming.EARLY),
            0);
    assertEquals(
        Arrays.stream(expected.split(" ")).map(Integer::valueOf).toList(),
        found.stages().stream().map(Simulation.StageUse::peakLive).toList());
  }

  @Property(tries = 60)
  void programsTakeTheTimeOfTheirOrders(
      @ForAll @IntRange(min = 1, max = 5) int stages,
      @ForAll @IntRange(min = 1, max = 12) int microBatches,
      @ForAll @IntRange(min = 1, max = 3) int chunks,
      @ForAll boolean recompute,
      @ForAll RecomputeTiming timing,
      @ForAll @IntRange(min = 0, max = 4) int delay) {
    Setting plain = Setting.of(stages, microBatches).withChunks(chunks);
    Setting setting = recompute ? Settings.recomputingAll(plain, timing) : plain;
    for (String name : Schedules.names()) {
      Schedule schedule = Schedules.named(name);
      if (schedule.obstacle(setting).isEmpty()) {
        Order order = schedule.order(setting);
        Simulation found = simulate(order, COSTS, delay / 4.0 / chunks);
        var perChunk = new java.util.EnumMap<Work, Double>(Work.class);
        COSTS.forEach((work, cost) -> perChunk.put(work, cost / chunks));
        double expected = OrderClock.of(order, perChunk, delay / 4.0 / chunks).makespan();
        assertEquals(expected, found.makespan(), EPSILON, schedule + " " + setting);
        Simulation assembled =
            Simulator.simulate(
                AssembledStages.program(order),
                UnitCosts.of(COSTS, stages * chunks, stages, delay / 4.0 / chunks));
        // With slow links receives, which end in one order, may keep stages waiting.
        assertTrue(assembled.makespan() >= expected - EPSILON, schedule + " " + setting);
        assertTrue(
            delay > 0 || assembled.makespan() <= expected + EPSILON, schedule + " " + setting);
        assertEquals(order.stages(), assembled.order());
        assertEquals(order.stages(), found.order());
        assertTrue(found.bubble() >= 0 && found.bubble() < 1);
      }
    }
  }
}
