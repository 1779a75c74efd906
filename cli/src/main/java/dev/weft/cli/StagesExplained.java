package dev.weft.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.graph.Value;
import dev.weft.core.stage.Piece;
import dev.weft.core.stage.Unit;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.runtime.trainer.StagePieces;
import dev.weft.runtime.trainer.TrainConfig;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/** Where a model is cut into stages, and what each gets. */
record StagesExplained(PipelinePlan plan, List<Part> parts, List<String> remarks) {
  /**
   * A piece.
   *
   * @param first the name of its first unit
   * @param last the name of its last
   * @param parameterBytes of all parameters that it reads
   * @param receivedBytes of the values that it gets from other pieces for a micro-batch
   */
  record Part(Piece piece, String first, String last, long parameterBytes, long receivedBytes) {}

  /**
   * Cuts a model as training would.
   *
   * @throws dev.weft.core.cluster.UserException if it cannot be cut so
   */
  static StagesExplained of(TrainConfig config) {
    StagePieces cut = StagePieces.of(config);
    List<Integer> starts = cut.starts();
    List<Unit> units = cut.cutting().units();
    var parts = new ArrayList<Part>();
    for (Piece piece : cut.cutting().at(starts)) {
      int next = piece.number() + 1;
      int end = next < starts.size() ? starts.get(next) : units.size();
      Set<String> received = new HashSet<>(piece.received());
      parts.add(
          new Part(
              piece,
              units.get(starts.get(piece.number())).name(),
              units.get(end - 1).name(),
              piece.parameters().stream().mapToLong(p -> p.type().bytes()).sum(),
              piece.forward().inputValues().stream()
                  .filter(value -> received.contains(value.name()))
                  .map(Value::type)
                  .mapToLong(type -> type.bytes())
                  .sum()));
    }
    return new StagesExplained(cut.plan(), parts, cut.remarks());
  }

  void json(ArrayNode tree) {
    for (Part part : parts) {
      tree.addObject()
          .put("stage", plan.stageOf(part.piece().number()))
          .put("chunk", part.piece().number() / plan.stages())
          .put("first", part.first())
          .put("last", part.last())
          .put("parameter_bytes", part.parameterBytes())
          .put("received_bytes", part.receivedBytes());
    }
  }

  String text() {
    var text = new StringBuilder("stages\n");
    for (Part part : parts) {
      int number = part.piece().number();
      text.append(
          String.format(
              Locale.ROOT,
              "  %d%s: %s to %s, parameters %s, receives %s per micro-batch%n",
              plan.stageOf(number),
              plan.chunks() == 1 ? "" : ", chunk " + number / plan.stages(),
              part.first(),
              part.last(),
              Bytes.of(part.parameterBytes()),
              Bytes.of(part.receivedBytes())));
    }
    return text.append('\n').toString();
  }
}
