package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Link;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.StageProgram;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.stage.Balance;
import dev.weft.core.stage.Load;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class CutChoiceTest {
  private record Links(Link link) implements CostModel {
    @Override
    public Duration fragment(StageProgram stage, Fragment fragment) {
      throw new UnsupportedOperationException("loads tell");
    }

    @Override
    public Link link(int from, int to) {
      return link;
    }
  }

  private static Load load(double forward, double backward, long received) {
    return new Load(forward + backward, forward, received, 0, 0);
  }

  private static CutChoice choose(double bytesPerSecond, String schedule, Setting setting) {
    var even =
        new CutChoice.Named(
            "even stages", new Balance.Cut(List.of(0, 5), List.of(load(1, 2, 0), load(1, 2, 400))));
    var narrow =
        new CutChoice.Named(
            "a narrow boundary",
            new Balance.Cut(List.of(0, 6), List.of(load(1.1, 2.2, 0), load(0.9, 1.8, 4))));
    return CutChoice.of(
        List.of(even, narrow, even),
        Schedules.named(schedule),
        setting,
        List.of(0.0, 0.0),
        new Links(new Link(0, bytesPerSecond)));
  }

  @Test
  void aLessEvenCutIsTakenWhereWhatItSendsIsQuicker() {
    CutChoice fast = choose(4e6, "1f1b", Setting.of(2, 4));
    assertEquals(List.of(0, 5), fast.taken().cut().cut().starts());
    assertEquals(2, fast.considered().size());
    assertTrue(fast.remark().isEmpty());
    // 400 bytes take 2 there and 2 back.
    CutChoice slow = choose(200, "1f1b", Setting.of(2, 4));
    assertEquals(List.of(0, 6), slow.taken().cut().cut().starts());
    assertTrue(slow.taken().makespan() < slow.considered().getFirst().makespan());
    String remark = slow.remark().orElseThrow();
    assertTrue(remark.contains("even stages would take 1."), remark);
    assertTrue(remark.endsWith("as with a narrow boundary: that is taken instead"), remark);
  }

  /** By hand: F0 F1 B0 on either stage, the second waits 1, the first 2 + 2, nothing sent. */
  @Test
  void loadsAreWhatPiecesTake() {
    CutChoice free = choose(Double.POSITIVE_INFINITY, "gpipe", Setting.of(2, 1));
    assertEquals(6, free.taken().makespan(), 1e-9);
    var costs =
        new LoadedStages(
            List.of(load(1, 2, 0), load(1, 2, 8)),
            List.of(0.5, 0.0),
            2,
            new Links(new Link(0.25, 4)));
    Setting setting = Setting.of(2, 1).withRecomputing(Set.of(0), RecomputeTiming.INLINE);
    Simulation found =
        Simulator.simulate(EqualStages.program(Schedules.named("1f1b").order(setting)), costs);
    // 1, then 2 and 0.25 under way, 3, then 2 and 0.25 back, half a recompute, 2.
    assertEquals(1 + 2.25 + 3 + 2.25 + 0.5 + 2, found.makespan(), 1e-9);
  }

  /** The second stage is slow forward, the first backward, which forwards ahead keep waiting. */
  @Test
  void eagerGivesWayWhereForwardsAheadHoldUpBackwards() {
    var cut =
        new Balance.Cut(
            List.of(0, 1, 2), List.of(load(0.1, 10, 0), load(10, 0.1, 4), load(0.1, 0.1, 4)));
    Choice order =
        CutChoice.of(
                List.of(new CutChoice.Named("the only cut", cut)),
                Schedules.named("eager-1f1b"),
                Setting.of(3, 8),
                List.of(0.0, 0.0, 0.0),
                new Links(Link.FREE))
            .taken()
            .order();
    assertEquals("1f1b", order.taken().name());
    double eager = order.considered().getFirst().makespan();
    assertTrue(eager > 1.05 * order.taken().makespan(), order::toString);
    assertTrue(order.remark().orElseThrow().contains("taken instead: 1f1b"));
  }
}
