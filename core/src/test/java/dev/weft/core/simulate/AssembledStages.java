package dev.weft.core.simulate;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.Negate;
import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Program;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.Assembly;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Pieces without a model, assembled: each takes one number from the piece before it. */
final class AssembledStages {
  private static final TensorType NUMBER = TensorType.scalar(DataType.F32);
  private static final String BATCH = "batch";

  private AssembledStages() {}

  /** The program of an order, one device per stage. */
  static Program program(Order order) {
    int stages = order.stages().size();
    int pieces = stages * order.chunks();
    var all = new ArrayList<PieceGraphs>();
    for (int piece = 0; piece < pieces; piece++) {
      int stage = piece % stages;
      int chunk = piece / stages;
      var works = new ArrayList<Work>();
      for (Work work : Work.values()) {
        if (order.stages().get(stage).contains(new Action(work, 0, chunk))) {
          works.add(work);
        }
      }
      all.add(
          new PieceGraphs(
              piece, Mesh.SINGLE, graphs(piece, piece == pieces - 1, works), Map.of(), Map.of()));
    }
    return Assembly.of(all, order, Set.of(BATCH)).program("train");
  }

  private static Map<Work, Graph> graphs(int piece, boolean last, List<Work> works) {
    String taken = piece == 0 ? BATCH : "h." + (piece - 1);
    String made = "h." + piece;
    String saved = "saved." + piece;
    String arriving = made + ".grad." + (piece + 1);
    var graphs = new EnumMap<Work, Graph>(Work.class);
    for (Work work : works) {
      var builder = new Builder(work.letter() + piece);
      switch (work) {
        case FORWARD -> {
          Value input = builder.input(taken, NUMBER, Graph.Kind.DATA);
          if (!last) {
            negate(builder, input, made);
          }
          if (!works.contains(Work.RECOMPUTE)) {
            negate(builder, input, saved);
          }
        }
        case RECOMPUTE -> negate(builder, builder.input(taken, NUMBER, Graph.Kind.DATA), saved);
        case BACKWARD, INPUT_GRADIENT, WEIGHT_GRADIENT -> {
          Value kept = builder.input(saved, NUMBER, Graph.Kind.DATA);
          Value cotangent = last ? kept : builder.input(arriving, NUMBER, Graph.Kind.DATA);
          if (piece > 0 && work != Work.WEIGHT_GRADIENT) {
            String name = taken + ".grad." + piece;
            builder.output(
                builder.add(new Add(), List.of(kept, cotangent), List.of(name)).getFirst());
          }
        }
        case MICRO_BATCH, STEP -> throw new IllegalStateException("an order has no steps");
      }
      graphs.put(work, builder.build());
    }
    return graphs;
  }

  private static void negate(Builder builder, Value input, String name) {
    builder.output(builder.add(new Negate(), List.of(input), List.of(name)).getFirst());
  }
}
