package dev.weft.core.simulate;

import dev.weft.core.cluster.Link;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import dev.weft.core.stage.Load;
import java.util.List;

/**
 * What pieces take of which only the loads are known, in programs of {@link EqualStages}: a piece
 * gets all that it receives from the piece before it, and sends as much back.
 *
 * @param loads of all pieces; piece {@code chunk * stages + stage} lies on that stage
 * @param recomputed for each piece the share of its forward that it does again
 * @param links what is between stages
 */
record LoadedStages(List<Load> loads, List<Double> recomputed, int stages, CostModel links)
    implements CostModel {
  private static final double NUMBER = TensorType.scalar(DataType.F32).bytes();

  @Override
  public Duration fragment(StageProgram stage, Fragment fragment) {
    int piece = fragment.chunk() * stages + stage.stage();
    Load load = loads.get(piece);
    double backward = load.time() - load.forward();
    double time =
        switch (fragment.work()) {
          case FORWARD -> load.forward();
          case RECOMPUTE -> recomputed.get(piece) * load.forward();
          case BACKWARD -> backward;
          case INPUT_GRADIENT, WEIGHT_GRADIENT -> backward / 2;
          case MICRO_BATCH -> load.time();
          case STEP -> 0;
        };
    return new Duration(time);
  }

  /** One number stands for all that goes between two stages, the mean of their pieces. */
  @Override
  public Link link(int from, int to) {
    double bytes = 0;
    int count = 0;
    for (int piece = 1; piece < loads.size(); piece++) {
      int before = (piece - 1) % stages;
      int here = piece % stages;
      if (before == from && here == to || before == to && here == from) {
        bytes += loads.get(piece).received();
        count++;
      }
    }
    Link link = links.link(from, to);
    return bytes == 0
        ? new Link(link.latency(), Double.POSITIVE_INFINITY)
        : new Link(link.latency(), link.bytesPerSecond() * NUMBER * count / bytes);
  }

  @Override
  public List<Integer> shared(int from, int to) {
    return links.shared(from, to);
  }
}
