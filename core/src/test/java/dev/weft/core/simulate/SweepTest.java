package dev.weft.core.simulate;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.simulate.Sweep.Feature;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** No feature is ever a loss, alone or with the others. */
final class SweepTest {
  private static List<Set<Feature>> sets(int stages, int microBatches) {
    var sets = new ArrayList<Set<Feature>>();
    boolean canShift = microBatches >= Math.max(4, stages);
    for (Feature feature : Feature.values()) {
      if (feature != Feature.SHIFTED || canShift) {
        sets.add(EnumSet.of(feature));
      }
    }
    sets.add(Sweep.together(Feature.EAGER));
    if (canShift) {
      sets.add(Sweep.together(Feature.SHIFTED));
    }
    return sets;
  }

  private static void check(Sweep sweep) {
    double plain = sweep.with(Set.of()).taken().makespan();
    for (Set<Feature> on : sets(sweep.stages(), sweep.microBatches())) {
      CutChoice found = sweep.with(on);
      assertTrue(
          found.taken().makespan() <= plain * (1 + 1e-9),
          () -> sweep + " with " + on + ": " + found + " instead of " + plain);
    }
  }

  @Property(tries = 25)
  void noFeatureLoses(
      @ForAll @IntRange(min = 2, max = 8) int stages,
      @ForAll @IntRange(min = 4, max = 32) int microBatches,
      @ForAll @IntRange(min = 1, max = 8) int forward,
      @ForAll @IntRange(min = 1, max = 16) int backward,
      @ForAll @IntRange(min = 1, max = 8) int recompute,
      @ForAll @IntRange(min = 0, max = 4) int reduce,
      @ForAll @IntRange(min = 0, max = 12) int delay,
      @ForAll @IntRange(min = 0, max = 10) int kept) {
    check(
        new Sweep(
            stages,
            microBatches,
            forward / 4.0,
            backward / 4.0,
            recompute / 4.0,
            reduce / 4.0,
            delay / 4.0,
            kept / 10.0));
  }

  @Property(tries = 1000)
  @Tag("nightly")
  void noFeatureLosesMoreOften(
      @ForAll @IntRange(min = 2, max = 8) int stages,
      @ForAll @IntRange(min = 4, max = 32) int microBatches,
      @ForAll @IntRange(min = 1, max = 8) int forward,
      @ForAll @IntRange(min = 1, max = 16) int backward,
      @ForAll @IntRange(min = 1, max = 8) int recompute,
      @ForAll @IntRange(min = 0, max = 4) int reduce,
      @ForAll @IntRange(min = 0, max = 12) int delay,
      @ForAll @IntRange(min = 0, max = 10) int kept) {
    noFeatureLoses(stages, microBatches, forward, backward, recompute, reduce, delay, kept);
  }

  /** What was published may lose; what is taken instead does not. */
  @Test
  void theStrictOrderLosesWithSlowLinks() {
    var sweep = new Sweep(4, 16, 1, 2, 1, 0, 1.5, 0);
    Choice order = sweep.with(Set.of(Feature.SHIFTED)).taken().order();
    assertTrue(order.considered().getFirst().makespan() > order.taken().makespan());
    assertTrue(order.remark().isPresent());
  }
}
