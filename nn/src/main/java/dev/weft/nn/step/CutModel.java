package dev.weft.nn.step;

import dev.weft.core.cluster.Layout;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.overlap.CollectiveMatmul;
import dev.weft.core.overlap.Level;
import dev.weft.core.overlap.Rows;
import dev.weft.core.overlap.SubPipeline;
import dev.weft.core.program.Order;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.Assembly;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Setting;
import dev.weft.core.simulate.Choice;
import dev.weft.core.simulate.Simulator;
import dev.weft.core.stage.Cotangents;
import dev.weft.core.stage.FoldedGradients;
import dev.weft.core.stage.Fragments;
import dev.weft.core.stage.Piece;
import dev.weft.core.stage.Recomputation;
import dev.weft.core.trace.Parameter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * The micro-batches of a model that is cut, or makes values again: its pieces, differentiated one
 * by one.
 */
final class CutModel {
  private static final String SUM = ".sum";

  private final PipelinePlan plan;
  private final Map<String, Layout> kept;
  private final Set<String> data;
  private final Rows rows;
  private final List<Fragments> fragments;

  /** What writes gradients rather than adds them; empty where all do. */
  private final List<Fragments> firsts;

  private CutModel(
      PipelinePlan plan,
      Map<String, Layout> kept,
      Set<String> data,
      Rows rows,
      List<Fragments> fragments,
      List<Fragments> firsts) {
    this.plan = plan;
    this.kept = kept;
    this.data = data;
    this.rows = rows;
    this.fragments = fragments;
    this.firsts = firsts;
  }

  /**
   * Differentiates the pieces.
   *
   * @param traced the uncut forward graph
   * @param data the names of what it is fed
   * @param loss the name of the sum of losses
   * @param kept how parameters and folded gradients lie, by name
   */
  static CutModel of(
      Graph traced,
      Set<String> data,
      List<Piece> pieces,
      String loss,
      PipelinePlan plan,
      Map<String, Layout> kept) {
    Set<String> shared = shared(pieces, plan);
    boolean adds = plan.microBatches() > 1 || !shared.isEmpty();
    Map<String, Layout> layouts = adds ? between(kept, shared, plan) : kept;
    return new CutModel(
        plan,
        kept,
        data,
        Cotangents.of(pieces, loss).rows(pieces, Rows.of(traced)),
        Fragments.all(pieces, loss, plan.mesh(), layouts, adds),
        adds ? Fragments.all(pieces, loss, plan.mesh(), layouts, false) : List.of());
  }

  /** Among what a level of halves is chosen. */
  SubPipelining.Candidates candidates() {
    return new SubPipelining.Candidates(
        fragments.stream().flatMapToLong(f -> f.rows(rows).stream()).min().orElse(0),
        level -> at(level, new LinkedHashSet<>()).program("train"));
  }

  /**
   * The micro-batches in the schedule's order.
   *
   * @param level how far halves of a device's rows stay apart
   * @param remarks what a user may want to know is added
   */
  Assembly at(Level level, Set<String> remarks) {
    List<Fragments> halves = inHalves(fragments, level);
    if (level != Level.OFF) {
      remark(halves, level, remarks);
    }
    List<PieceGraphs> graphs = graphs(halves, inHalves(firsts, level));
    if (plan.mesh().size() > 1 && !firsts.isEmpty()) {
      graphs.replaceAll(piece -> FoldedGradients.of(piece, kept));
    }
    if (plan.mesh().size() > 1) {
      List<Graph> all = graphs.stream().flatMap(piece -> piece.graphs().values().stream()).toList();
      MatmulLooping.Chosen loops = plan.looping().choose(all, plan.mesh());
      loops.remark().ifPresent(remarks::add);
      if (loops.loops()) {
        graphs.replaceAll(piece -> piece.map(CollectiveMatmul::apply));
      }
    }
    return Assembly.of(graphs, order(graphs, remarks), data);
  }

  private List<Fragments> inHalves(List<Fragments> whole, Level level) {
    return level == Level.OFF
        ? whole
        : whole.stream().map(piece -> piece.inHalves(level, rows)).toList();
  }

  /** Says which pieces stay whole. */
  private void remark(List<Fragments> halves, Level level, Set<String> remarks) {
    List<Integer> same = new ArrayList<>();
    for (int piece = 0; piece < halves.size(); piece++) {
      if (halves.get(piece) == fragments.get(piece)) {
        same.add(piece);
      }
      for (String remark : halves.get(piece).remarks()) {
        remarks.add("piece %d: %s".formatted(piece, remark));
      }
    }
    String nothing = SubPipeline.changesNothing(level);
    if (same.size() == halves.size()) {
      remarks.add(nothing);
    } else if (!same.isEmpty()) {
      remarks.add(
          "pieces %s: %s"
              .formatted(
                  same.stream().map(String::valueOf).collect(Collectors.joining(", ")), nothing));
    }
  }

  /** The parameters that several pieces of one stage read, by key. */
  private static Set<String> shared(List<Piece> pieces, PipelinePlan plan) {
    Set<List<Object>> read = new HashSet<>();
    Set<String> shared = new HashSet<>();
    for (Piece piece : pieces) {
      for (Parameter parameter : piece.parameters()) {
        if (!read.add(List.of(plan.stageOf(piece.number()), parameter.key()))) {
          shared.add(parameter.key());
        }
      }
    }
    return shared;
  }

  /**
   * How gradients lie while they are added up: as parts of sums, unless ZeRO splits them, or pieces
   * add onto one accumulator, which would make parts of different kinds.
   */
  private static Map<String, Layout> between(
      Map<String, Layout> kept, Set<String> shared, PipelinePlan plan) {
    Map<String, Layout> layouts = new HashMap<>(kept);
    if (plan.zero() < 2) {
      layouts
          .keySet()
          .removeIf(
              name ->
                  name.endsWith(SUM)
                      && !shared.contains(name.substring(0, name.length() - SUM.length())));
    }
    return layouts;
  }

  private List<PieceGraphs> graphs(List<Fragments> adding, List<Fragments> writing) {
    boolean split =
        plan.schedule().order(plan.setting()).stages().stream()
            .flatMap(List::stream)
            .anyMatch(action -> action.work() == Work.INPUT_GRADIENT);
    var graphs = new ArrayList<PieceGraphs>();
    for (int piece = 0; piece < adding.size(); piece++) {
      Recomputation recomputation = plan.recomputationOf(piece);
      ToDoubleFunction<Node> cost = node -> node.cost().flops() + node.cost().bytes();
      PieceGraphs own = adding.get(piece).graphs(recomputation, split, cost);
      graphs.add(
          writing.isEmpty()
              ? own
              : withFirst(own, writing.get(piece).graphs(recomputation, split, cost)));
    }
    return graphs;
  }

  /**
   * The graphs with those that write gradients rather than add them, as far as these read nothing
   * else.
   */
  private static PieceGraphs withFirst(PieceGraphs adding, PieceGraphs writing) {
    Map<Work, Graph> first = new HashMap<>();
    adding
        .graphs()
        .forEach(
            (work, graph) -> {
              Graph other = writing.graphs().get(work);
              if (other != null
                  && !graph.inputs(Graph.Kind.ACCUMULATOR).isEmpty()
                  && read(graph).containsAll(read(other))
                  && other.outputs().size() == graph.outputs().size()) {
                first.put(work, other);
              }
            });
    return new PieceGraphs(adding.piece(), adding.mesh(), adding.graphs(), first, adding.held());
  }

  private static Set<String> read(Graph graph) {
    var read = new HashSet<String>();
    for (Value value : graph.inputValues()) {
      read.add(value.toString());
    }
    return read;
  }

  /** The schedule's order, or another, with a remark, where that would lose to it. */
  private Order order(List<PieceGraphs> graphs, Set<String> remarks) {
    Set<Integer> recomputing = new HashSet<>();
    for (PieceGraphs piece : graphs) {
      if (piece.graphs().containsKey(Work.RECOMPUTE)) {
        recomputing.add(piece.piece());
      }
    }
    Setting setting = plan.setting().withRecomputing(recomputing, plan.timing());
    Schedule schedule = plan.schedule();
    Order own = schedule.order(setting);
    if (schedule.rivals(setting).isEmpty()) {
      return own;
    }
    Choice choice =
        Choice.of(
            schedule,
            setting,
            order ->
                Simulator.simulate(Assembly.of(graphs, order, data).program("train"), plan.costs())
                    .makespan());
    choice.comparison().ifPresent(remarks::add);
    return choice.taken().order();
  }
}
