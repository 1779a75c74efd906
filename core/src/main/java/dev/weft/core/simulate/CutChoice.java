package dev.weft.core.simulate;

import static java.util.Objects.requireNonNull;

import dev.weft.core.program.Order;
import dev.weft.core.program.Program;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Setting;
import dev.weft.core.stage.Balance;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Where a model is cut: as is best by what pieces take one by one, or otherwise where a schedule is
 * quicker so, for values between pieces take their time too.
 *
 * @param considered what was simulated, the best by pieces first
 * @param taken one of these
 */
public record CutChoice(List<Candidate> considered, Candidate taken) {
  private static final double EQUAL = 1e-9;

  /**
   * A cut.
   *
   * @param name what kind of cut it is, for people
   */
  public record Named(String name, Balance.Cut cut) {}

  /**
   * A cut with the order that is taken for it.
   *
   * @param makespan of that order
   */
  public record Candidate(Named cut, Choice order, double makespan) {}

  public CutChoice {
    considered = List.copyOf(considered);
  }

  /**
   * Simulates a schedule, and its rivals, for every cut, and takes the first of the quickest.
   *
   * @param cuts at least one; of equal ones only the first counts
   * @param recomputed by piece the share of its forward that a piece makes again if the schedule
   *     has it do so
   * @param links what is between stages
   * @throws dev.weft.core.cluster.UserException if the schedule cannot run in such a setting
   */
  public static CutChoice of(
      List<Named> cuts,
      Schedule schedule,
      Setting setting,
      List<Double> recomputed,
      CostModel links) {
    // Where the model is cut changes no order.
    var candidates = Choice.candidates(schedule, setting);
    Map<Order, Program> programs = new IdentityHashMap<>();
    candidates.forEach(c -> programs.put(c.order(), EqualStages.program(c.order())));
    var considered = new ArrayList<Candidate>();
    var seen = new HashSet<List<Integer>>();
    for (Named named : cuts) {
      if (seen.add(named.cut().starts())) {
        var costs = new LoadedStages(named.cut().loads(), recomputed, setting.stages(), links);
        Choice order =
            Choice.of(
                candidates,
                o -> Simulator.simulate(requireNonNull(programs.get(o)), costs).makespan());
        considered.add(new Candidate(named, order, order.taken().makespan()));
      }
    }
    Candidate taken = considered.getFirst();
    for (Candidate candidate : considered) {
      if (candidate.makespan < taken.makespan * (1 - EQUAL)) {
        taken = candidate;
      }
    }
    return new CutChoice(considered, taken);
  }

  /** What was taken instead of the first, and why; empty where that was taken. */
  public Optional<String> remark() {
    Candidate first = considered.getFirst();
    return taken == first
        ? Optional.empty()
        : Optional.of(
            String.format(
                Locale.ROOT,
                "a step with %s would take %.4g times as long here as with %s: that is taken"
                    + " instead",
                first.cut().name(),
                first.makespan() / taken.makespan(),
                taken.cut().name()));
  }
}
