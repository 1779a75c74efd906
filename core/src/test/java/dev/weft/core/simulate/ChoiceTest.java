package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.program.Order;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.OrderClock;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.schedule.Settings;
import java.util.EnumMap;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

final class ChoiceTest {
  private static Choice choose(Setting setting, Map<Work, Double> costs, double delay) {
    return Choice.of(
        Schedules.named("shifted"),
        setting,
        order -> OrderClock.of(order, costs, delay).makespan());
  }

  @Test
  void theStrictOrderStaysWhereItWins() {
    Setting setting = Settings.recomputingAll(Setting.of(4, 16), RecomputeTiming.INLINE);
    Map<Work, Double> costs = UnitCosts.parse("F=1,B=2,R=1");
    Choice free = choose(setting, costs, 0);
    assertEquals("shifted", free.taken().name());
    assertTrue(free.remark().isEmpty());
    Choice slow = choose(setting, costs, 0.5);
    assertEquals(82, slow.considered().getFirst().makespan());
    assertEquals(74, slow.taken().makespan());
  }

  /** Shares of recompute, costs and delays: the shifted schedule is never slower than 1F1B. */
  @Property(tries = 300)
  void shiftedNeverLoses(
      @ForAll @IntRange(min = 1, max = 7) int stages,
      @ForAll @IntRange(min = 0, max = 12) int further,
      @ForAll @IntRange(min = 1, max = 8) int forward,
      @ForAll @IntRange(min = 1, max = 16) int backward,
      @ForAll @IntRange(min = 0, max = 8) int recompute,
      @ForAll @IntRange(min = 0, max = 8) int delay,
      @ForAll RecomputeTiming timing) {
    int microBatches = Math.max(4, stages) + further;
    var costs = new EnumMap<Work, Double>(Work.class);
    costs.put(Work.FORWARD, forward / 4.0);
    costs.put(Work.BACKWARD, backward / 4.0);
    costs.put(Work.RECOMPUTE, recompute / 4.0);
    Setting setting = Settings.recomputingAll(Setting.of(stages, microBatches), timing);
    Choice choice = choose(setting, costs, delay / 4.0);
    for (RecomputeTiming other : RecomputeTiming.values()) {
      Order plain =
          Schedules.named("1f1b")
              .order(Settings.recomputingAll(Setting.of(stages, microBatches), other));
      assertTrue(
          choice.taken().makespan() <= OrderClock.of(plain, costs, delay / 4.0).makespan() + 1e-9,
          choice::toString);
    }
  }
}
