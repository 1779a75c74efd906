package dev.weft.runtime.trainer;

import dev.weft.core.graph.Graph;
import dev.weft.core.op.Shard;
import dev.weft.core.stage.Cutting;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.StageCut;
import dev.weft.nn.step.StepGraphs;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Where a configuration's model is cut.
 *
 * @param starts the first unit of each piece
 * @param remarks what a user may want to know of it, a sentence each
 */
public record StagePieces(
    PipelinePlan plan, Cutting cutting, List<Integer> starts, List<String> remarks) {
  /**
   * Traces and cuts as training does; nothing is allocated.
   *
   * @throws dev.weft.core.cluster.UserException if the model cannot be cut so
   */
  public static StagePieces of(TrainConfig config) {
    Session.Spec spec = Session.spec(config);
    PipelinePlan plan = config.pipelinePlan();
    UnaryOperator<Graph> prepared =
        plan.mesh().size() == 1 ? Shard::erase : UnaryOperator.identity();
    Cutting cutting =
        Cutting.of(StepGraphs.forward(spec.model(), spec.data(), spec.parameterType(), prepared));
    StageCut.Found found = plan.cut().find(cutting, plan);
    return new StagePieces(plan, cutting, found.starts(), found.remarks());
  }

  /**
   * The scopes that the second piece and all later ones begin with, which cut the model so again;
   * none where names do not tell.
   */
  List<String> scopes() {
    List<String> names =
        starts.stream().skip(1).map(start -> cutting.units().get(start).name()).toList();
    return cutting.before(names).equals(starts) ? names : List.of();
  }
}
