package dev.weft.nn.step;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Node;
import dev.weft.core.op.Repeat;
import dev.weft.core.program.Action;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.Setting;
import dev.weft.core.simulate.CutChoice;
import dev.weft.core.stage.Balance;
import dev.weft.core.stage.Cutting;
import dev.weft.core.stage.Load;
import dev.weft.core.stage.Recomputation;
import dev.weft.core.stage.Unit;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * The slowest piece is as fast as can be among cuts whose pieces fit their devices, as far as that
 * can be told before there are programs; where none seems to fit, among all. Another cut is taken
 * where the schedule is quicker with it by simulation: one that is a little less even and sends
 * less, or that of equal numbers of layers.
 *
 * @param seconds what a node takes on one device, in any unit
 * @param secondsPerByte for which what goes between stages keeps a piece from computing
 * @param memory of a device, in bytes
 * @param slots how many tensors of a parameter's size the optimizer keeps of it
 */
public record BalancedCut(
    ToDoubleFunction<Node> seconds, double secondsPerByte, long memory, int slots)
    implements StageCut {
  /** How much slower than in the best cut the slowest piece may be for fewer bytes sent. */
  private static final List<Double> SLACKS = List.of(1.05, 1.25);

  @Override
  public Found find(Cutting cutting, PipelinePlan plan) {
    if (plan.pieces() == 1) {
      return Found.of(List.of(0));
    }
    Balance balance =
        Balance.of(
            cutting,
            new PieceCosts(
                cutting.traced().graph(), seconds, secondsPerByte, plan.microBatches() > 1));
    List<Double> again = recomputed(plan);
    Balance.Pace pace = (piece, load) -> load.time() + again.get(piece) * load.forward();
    Balance.Memory space = new Room(plan);
    Balance.Cut best;
    try {
      best = balance.cut(plan.pieces(), space, pace, 1);
    } catch (UserException estimated) {
      // An estimate refuses nobody: what programs really hold is told once they are made.
      space = Balance.ENDLESS;
      best = balance.cut(plan.pieces(), space, pace, 1);
    }
    var cuts = new ArrayList<CutChoice.Named>();
    cuts.add(new CutChoice.Named("the evenest stages", best));
    for (double slack : SLACKS) {
      cuts.add(
          new CutChoice.Named(
              "stages up to %.0f %% slower that send less".formatted(100 * (slack - 1)),
              balance.cut(plan.pieces(), space, pace, slack)));
    }
    Balance.Cut equal = balance.at(equal(cutting, plan.pieces()));
    if (equal.fits(space)) {
      cuts.add(new CutChoice.Named("equal numbers of layers", equal));
    }
    if (cuts.stream().map(named -> named.cut().starts()).distinct().count() == 1) {
      return Found.of(best.starts());
    }
    var choice = CutChoice.of(cuts, plan.schedule(), setting(plan, again), again, plan.costs());
    return new Found(choice.taken().cut().cut().starts(), choice.remark().stream().toList());
  }

  /** Layers are rounds of repeats, or all units of a model that has fewer rounds than pieces. */
  private static List<Integer> equal(Cutting cutting, int pieces) {
    List<Unit> units = cutting.units();
    List<Integer> rounds =
        IntStream.range(0, units.size())
            .filter(i -> units.get(i).node().op() instanceof Repeat)
            .boxed()
            .toList();
    List<Integer> layers =
        rounds.size() >= pieces ? rounds : IntStream.range(0, units.size()).boxed().toList();
    var starts = new ArrayList<Integer>();
    for (int piece = 0; piece < pieces; piece++) {
      starts.add(piece == 0 ? 0 : layers.get((int) ((long) piece * layers.size() / pieces)));
    }
    return starts;
  }

  /** Which share of its forward each piece makes again; what a budget keeps nobody knows yet. */
  private static List<Double> recomputed(PipelinePlan plan) {
    var shares = new ArrayList<Double>();
    for (int piece = 0; piece < plan.pieces(); piece++) {
      shares.add(
          switch (plan.recomputationOf(piece)) {
            case Recomputation.None() -> 0.0;
            case Recomputation.Full(), Recomputation.Budget(_) -> 1.0;
            case Recomputation.Fraction(double kept) -> 1 - kept;
          });
    }
    return shares;
  }

  private static Setting setting(PipelinePlan plan, List<Double> recomputed) {
    Set<Integer> recomputing = new HashSet<>();
    for (int piece = 0; piece < recomputed.size(); piece++) {
      if (recomputed.get(piece) > 0) {
        recomputing.add(piece);
      }
    }
    return plan.setting().withRecomputing(recomputing, plan.timing());
  }

  /** An estimate of what pieces need. */
  private final class Room implements Balance.Memory {
    private final PipelinePlan plan;
    private final int[] live;

    Room(PipelinePlan plan) {
      this.plan = plan;
      this.live = live(plan);
    }

    /** A mesh splits values of the batch; parameters are taken to be split as well. */
    @Override
    public long needed(int piece, Load load) {
      double share =
          switch (plan.recomputation().apply(piece)) {
            case Recomputation.None() -> 1;
            case Recomputation.Full(), Recomputation.Budget(_) -> 0;
            case Recomputation.Fraction(double kept) -> kept;
          };
      double values = live[piece] * (load.received() + share * load.kept());
      // The parameter and its gradient, beside the optimizer's.
      double state = (2.0 + slots) * load.parameters();
      return (long) ((state + values) / plan.mesh().size());
    }

    @Override
    public long limit(int piece) {
      return memory / plan.chunks();
    }
  }

  /** By piece, the most micro-batches between their forward and their backward. */
  private static int[] live(PipelinePlan plan) {
    int[] most = new int[plan.pieces()];
    int[] now = new int[plan.pieces()];
    var setting = Setting.of(plan.stages(), plan.microBatches()).withChunks(plan.chunks());
    List<List<Action>> stages = plan.schedule().order(setting).stages();
    for (int stage = 0; stage < stages.size(); stage++) {
      for (Action action : stages.get(stage)) {
        int piece = setting.piece(action.chunk(), stage);
        if (action.work() == Work.FORWARD) {
          most[piece] = Math.max(most[piece], ++now[piece]);
        } else if (action.work() == Work.BACKWARD || action.work() == Work.WEIGHT_GRADIENT) {
          now[piece]--;
        }
      }
    }
    return most;
  }
}
