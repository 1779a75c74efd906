package dev.weft.nn.step;

import dev.weft.core.stage.Balance;
import dev.weft.core.stage.CutCosts;
import dev.weft.core.stage.Cutting;
import java.util.List;

/** Decides where a model is cut into the pieces of a plan. */
@FunctionalInterface
public interface StageCut {
  /** The slowest piece is as fast as can be by counts of operations and bytes. */
  StageCut COUNTED =
      (cutting, plan) -> Balance.of(cutting, CutCosts.COUNTED).cut(plan.pieces()).starts();

  /**
   * Where pieces begin.
   *
   * @return the first unit of each piece, for {@link Cutting#at}
   * @throws dev.weft.core.cluster.UserException if the model cannot be cut so
   */
  List<Integer> starts(Cutting cutting, PipelinePlan plan);
}
