package dev.weft.core.simulate;

import dev.weft.core.cluster.Link;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Tensor;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.program.StageProgram;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.stage.Balance;
import dev.weft.core.stage.CutCosts;
import dev.weft.core.stage.Cutting;
import dev.weft.core.stage.Recomputation;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Trace;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Merak's features for one setting: a model of an embedding, four layers per stage and a head,
 * trained by 1F1B with full recomputation, each recompute waiting for its gradient, and equal
 * numbers of layers on all stages, unless a feature is on.
 *
 * @param forward what the layers of a stage take; the embedding a twentieth, the head half of it
 * @param backward the same backward
 * @param recompute the same to make a forward again
 * @param reduce what all-reduces of a stage's layers take in each direction, on top
 * @param delay of every value between stages
 * @param kept the share of activations that the memory of the first stage can keep
 */
record Sweep(
    int stages,
    int microBatches,
    double forward,
    double backward,
    double recompute,
    double reduce,
    double delay,
    double kept) {
  /** What products lose when they are done in halves. */
  private static final double LOSS = 0.1;

  private static final int LAYERS = 4;
  private static final Map<Integer, Cutting> MODELS = new ConcurrentHashMap<>();

  enum Feature {
    SHIFTED,
    STAGE_AWARE,
    EARLY,
    CUT,
    HALVES,
    EAGER
  }

  static Set<Feature> together(Feature schedule) {
    return EnumSet.of(schedule, Feature.STAGE_AWARE, Feature.EARLY, Feature.CUT, Feature.HALVES);
  }

  /** What is taken with some features on. */
  CutChoice with(Set<Feature> on) {
    Balance balance = Balance.of(model(), new Costs(on.contains(Feature.HALVES)));
    List<Double> shares = shares(on.contains(Feature.STAGE_AWARE));
    Set<Integer> recomputing = new HashSet<>();
    for (int piece = 0; piece < stages; piece++) {
      if (shares.get(piece) > 0) {
        recomputing.add(piece);
      }
    }
    boolean isShifted = on.contains(Feature.SHIFTED);
    Balance.Pace pace =
        (piece, load) ->
            load.time()
                + (isShifted && piece == stages - 1 ? 0 : shares.get(piece)) * load.forward();
    var cuts = new ArrayList<CutChoice.Named>();
    if (on.contains(Feature.CUT)) {
      for (double slack : List.of(1.0, 1.05, 1.25)) {
        cuts.add(
            new CutChoice.Named(
                "even " + slack, balance.cut(stages, Balance.ENDLESS, pace, slack)));
      }
    }
    var starts = new ArrayList<Integer>();
    for (int stage = 0; stage < stages; stage++) {
      starts.add(stage == 0 ? 0 : 1 + LAYERS * stage);
    }
    cuts.add(new CutChoice.Named("equal", balance.at(starts)));
    RecomputeTiming timing =
        on.contains(Feature.EARLY) ? RecomputeTiming.EARLY : RecomputeTiming.INLINE;
    String schedule = isShifted ? "shifted" : on.contains(Feature.EAGER) ? "eager-1f1b" : "1f1b";
    return CutChoice.of(
        cuts,
        Schedules.named(schedule),
        Setting.of(stages, microBatches).withRecomputing(recomputing, timing),
        shares,
        new Links(delay));
  }

  /** How many times as long as the forward of a piece its recompute takes. */
  private List<Double> shares(boolean stageAware) {
    var shares = new ArrayList<Double>();
    for (int stage = 0; stage < stages; stage++) {
      double share =
          stageAware
              ? switch (Recomputation.stageAware(1 - kept, stage, stages)) {
                case Recomputation.Fraction(double some) -> 1 - some;
                default -> 0;
              }
              : 1;
      shares.add(share * recompute / forward);
    }
    return shares;
  }

  private Cutting model() {
    return MODELS.computeIfAbsent(LAYERS * stages + 2, Sweep::chain);
  }

  /** Products, one behind the other. */
  private static Cutting chain(int length) {
    return Cutting.of(
        Trace.trace(
            "chain",
            DataType.F32,
            true,
            Map.of("x", TensorType.of(DataType.F32, 1, 4)),
            (m, batch) -> {
              Tensor value = Objects.requireNonNull(batch.get("x"));
              for (int i = 0; i < length; i++) {
                value = value.matmul(m.parameter("w" + i, Initializer.normal(1), 4, 4));
              }
              return List.of(value.sum(), m.constant(DataType.F32, 1));
            }));
  }

  /** Products by the number in their weight's name; what else there is takes no time. */
  private final class Costs implements CutCosts {
    private final boolean halves;

    Costs(boolean halves) {
      this.halves = halves;
    }

    private double share(Node node) {
      if (!node.op().name().equals("matmul")) {
        return 0;
      }
      int number = Integer.parseInt(node.input(1).name().substring(1));
      return number == 0 ? 0.05 : number == LAYERS * stages + 1 ? 0.5 : 1.0 / LAYERS;
    }

    /** With its all-reduce, in halves where that is quicker: the first's under the second. */
    private double reduced(Node node, double compute) {
      double sent = share(node) == 1.0 / LAYERS ? reduce / LAYERS : 0;
      double half = compute * (1 + LOSS) / 2;
      double inHalves = half + Math.max(half, sent / 2) + sent / 2;
      return halves ? Math.min(compute + sent, inHalves) : compute + sent;
    }

    @Override
    public double forward(Node node) {
      return reduced(node, share(node) * forward);
    }

    @Override
    public double time(Node node) {
      return forward(node) + reduced(node, share(node) * backward);
    }

    @Override
    public double receiving(TensorType type) {
      return 0;
    }
  }

  /** Values are under way for some time and keep nobody. */
  private record Links(double delay) implements CostModel {
    @Override
    public Duration fragment(StageProgram stage, Fragment fragment) {
      throw new UnsupportedOperationException("loads tell");
    }

    @Override
    public Link link(int from, int to) {
      return new Link(delay, Double.POSITIVE_INFINITY);
    }
  }
}
