package dev.weft.nn.step;

import dev.weft.core.cluster.UserException;
import dev.weft.core.stage.Balance;
import dev.weft.core.stage.CutCosts;
import dev.weft.core.stage.Cutting;
import java.util.List;

/** Decides where a model is cut into the pieces of a plan. */
@FunctionalInterface
public interface StageCut {
  /** The slowest piece is as fast as can be by counts of operations and bytes. */
  StageCut COUNTED =
      (cutting, plan) ->
          plan.pieces() == 1
              ? Found.of(List.of(0))
              : Found.of(Balance.of(cutting, CutCosts.COUNTED).cut(plan.pieces()).starts());

  /**
   * Right before named scopes.
   *
   * @param scopes what the second piece and all later ones begin with
   */
  static StageCut before(List<String> scopes) {
    return (cutting, plan) -> {
      if (scopes.size() != plan.pieces() - 1) {
        throw new UserException(
            "--cut names %d %s and so makes %d pieces, --stages %d%s has %d: name %d %s or leave --cut out"
                .formatted(
                    scopes.size(),
                    scopes.size() == 1 ? "scope" : "scopes",
                    scopes.size() + 1,
                    plan.stages(),
                    plan.chunks() == 1 ? "" : " with " + plan.chunks() + " chunks each",
                    plan.pieces(),
                    plan.pieces() - 1,
                    plan.pieces() == 2 ? "scope" : "scopes"));
      }
      return Found.of(cutting.before(scopes));
    };
  }

  /**
   * Where pieces begin.
   *
   * @param starts the first unit of each piece, for {@link Cutting#at}
   * @param remarks what a user may want to know of it, a sentence each
   */
  record Found(List<Integer> starts, List<String> remarks) {
    public Found {
      starts = List.copyOf(starts);
      remarks = List.copyOf(remarks);
    }

    static Found of(List<Integer> starts) {
      return new Found(starts, List.of());
    }
  }

  /**
   * Decides where pieces begin.
   *
   * @throws dev.weft.core.cluster.UserException if the model cannot be cut so
   */
  Found find(Cutting cutting, PipelinePlan plan);
}
