package dev.weft.nn.step;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Node;
import dev.weft.core.program.Action;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.Setting;
import dev.weft.core.stage.Balance;
import dev.weft.core.stage.Cutting;
import dev.weft.core.stage.Load;
import dev.weft.core.stage.Recomputation;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * The slowest piece is as fast as can be among cuts whose pieces fit their devices, as far as that
 * can be told before there are programs; where none seems to fit, among all.
 *
 * @param seconds what a node takes on one device, in any unit
 * @param secondsPerByte of what goes between stages
 * @param memory of a device, in bytes
 * @param slots how many tensors of a parameter's size the optimizer keeps of it
 */
public record BalancedCut(
    ToDoubleFunction<Node> seconds, double secondsPerByte, long memory, int slots)
    implements StageCut {
  @Override
  public List<Integer> starts(Cutting cutting, PipelinePlan plan) {
    Balance balance =
        Balance.of(
            cutting,
            new PieceCosts(
                cutting.traced().graph(), seconds, secondsPerByte, plan.microBatches() > 1));
    try {
      return balance.cut(plan.pieces(), new Room(plan)).starts();
    } catch (UserException estimated) {
      // An estimate refuses nobody: what programs really hold is told once they are made.
      return balance.cut(plan.pieces()).starts();
    }
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
