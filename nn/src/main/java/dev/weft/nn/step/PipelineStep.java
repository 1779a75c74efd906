package dev.weft.nn.step;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Shard;
import dev.weft.core.overlap.Level;
import dev.weft.core.program.Action;
import dev.weft.core.program.Order;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Program;
import dev.weft.core.program.ProgramVerifier;
import dev.weft.core.program.Work;
import dev.weft.core.schedule.Assembly;
import dev.weft.core.shard.MeshCheck;
import dev.weft.core.stage.Cutting;
import dev.weft.core.stage.ForwardPiece;
import dev.weft.core.stage.Partitions;
import dev.weft.core.stage.Piece;
import dev.weft.core.stage.Recomputation;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Traced;
import dev.weft.nn.optimizer.Optimizer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A training step as programs for stages of devices. After {@code train} the gradients of all
 * micro-batches lie in accumulators; {@code norm} sums what several stages have of one parameter,
 * and makes the gradient's norm and what it must be divided by; {@code update} changes parameters.
 * A parameter that several stages have is updated by its owner, the first of them.
 *
 * @param parameters the model's
 * @param stageParameters what each stage holds of them
 * @param train outputs to be watched: {@link #loss} and {@link #weight}, of every micro-batch
 * @param norm takes the fact {@code weight}; {@link #NORM} is to be watched
 * @param update takes the facts {@code learning_rate} and {@code step}, f32
 * @param evaluate the pieces without dropout for one micro-batch
 * @param loss the name of the sum of losses
 * @param weight the name of the loss's weight
 * @param measures the names of what {@code evaluate} gives: loss, weight, then the model's measures
 * @param measureNames what the model calls these measures
 * @param halves how far the halves of a device's rows stay apart
 * @param remarks what a user may want to know of how the step was spread, a sentence each
 */
public record PipelineStep(
    List<Parameter> parameters,
    List<List<Parameter>> stageParameters,
    Program train,
    Program norm,
    Program update,
    Program evaluate,
    String loss,
    String weight,
    List<String> measures,
    List<String> measureNames,
    Level halves,
    List<String> remarks) {
  /** The norm of the mean gradient. */
  public static final String NORM = "norm";

  public PipelineStep {
    parameters = List.copyOf(parameters);
    stageParameters = stageParameters.stream().map(List::copyOf).toList();
  }

  /** All that is run for a step and for evaluation. */
  public List<Program> programs() {
    return List.of(train, norm, update, evaluate);
  }

  /** The first stage that holds a parameter. */
  public static int owner(List<List<Parameter>> stages, Parameter parameter) {
    for (int stage = 0; stage < stages.size(); stage++) {
      if (stages.get(stage).contains(parameter)) {
        return stage;
      }
    }
    throw new IllegalArgumentException("no stage holds " + parameter.name());
  }

  /**
   * Spreads a model's step.
   *
   * @param data the types of a micro-batch by name
   * @param dtype what products are computed in, see {@link StepGraphs#of}
   * @param clip the largest norm of the mean gradient; 0 for no limit
   * @throws dev.weft.core.cluster.UserException if the model cannot be cut into so many pieces, the
   *     schedule cannot run so, or no annotation names an axis of the mesh
   */
  public static PipelineStep of(
      StepGraphs.Model model,
      Map<String, TensorType> data,
      DataType dtype,
      Optimizer optimizer,
      double clip,
      PipelinePlan plan) {
    plan.schedule().require(plan.setting());
    UnaryOperator<Graph> prepared =
        plan.mesh().size() == 1 ? Shard::erase : UnaryOperator.identity();
    Traced traced = StepGraphs.forward(model, data, dtype, prepared);
    String loss = traced.graph().outputValues().get(0).name();
    String weight = traced.graph().outputValues().get(1).name();
    Cutting cutting = Cutting.of(traced);
    StageCut.Found found = plan.cut().find(cutting, plan);
    List<Piece> pieces = cutting.at(found.starts());
    if (!plan.mesh().equals(Mesh.SINGLE)) {
      // One device's graph has lost its annotations.
      Traced annotated =
          plan.mesh().size() > 1
              ? traced
              : StepGraphs.forward(model, data, dtype, UnaryOperator.identity());
      MeshCheck.requireUsed(plan.mesh(), MeshCheck.axesInUse(annotated.graph()));
    }
    boolean isWhole = isWhole(plan);
    @Nullable StepGraphs graphs =
        plan.mesh().size() > 1 || isWhole
            ? StepGraphs.of(model, data, dtype, optimizer, clip, prepared)
            : null;
    Map<String, Layout> kept =
        graphs == null || plan.mesh().size() == 1
            ? Map.of()
            : ofPieces(ShardedStep.kept(graphs, plan.mesh(), plan.zero()), pieces, optimizer);
    List<List<Parameter>> held = held(pieces, plan);
    var remarks = new LinkedHashSet<>(found.remarks());
    Program train;
    List<Map<String, StepEnds.Gradient>> gradients;
    Level level = Level.OFF;
    if (graphs != null && isWhole) {
      WholeModel whole;
      if (plan.mesh().size() == 1) {
        whole = WholeModel.alone(graphs, plan.mesh(), plan.microBatches());
      } else {
        List<ShardedStep.Pass> uncut =
            ShardedStep.passes(graphs, plan.mesh(), plan.zero(), plan.microBatches(), kept);
        Function<List<ShardedStep.Pass>, WholeModel> of =
            passes -> WholeModel.of(graphs, plan.mesh(), passes);
        level =
            chosen(
                plan,
                ShardedStep.candidates(uncut, at -> of.apply(at).train(loss, weight)),
                remarks);
        List<ShardedStep.Pass> cut = ShardedStep.inHalves(uncut, level);
        MatmulLooping.Chosen loops = plan.looping().choose(ShardedStep.graphs(cut), plan.mesh());
        loops.remark().ifPresent(remarks::add);
        List<ShardedStep.Pass> passes = loops.loops() ? ShardedStep.looped(cut) : cut;
        passes.forEach(pass -> remarks.addAll(pass.half().partitioned().remarks()));
        whole = of.apply(passes);
      }
      train = whole.train(loss, weight);
      gradients = List.of(whole.gradients());
    } else {
      CutModel cut = CutModel.of(traced.graph(), data.keySet(), pieces, loss, plan, kept);
      if (plan.mesh().size() > 1) {
        level = chosen(plan, cut.candidates(), remarks);
      }
      Assembly assembly = cut.at(level, remarks);
      train = assembly.program("train");
      gradients = gradients(train, assembly, held, kept);
    }
    var ends = new StepEnds(gradients, held, plan.mesh(), kept, optimizer, clip);
    StepGraphs.Evaluation evaluation = StepGraphs.evaluation(model, data, dtype, prepared);
    Program evaluate = evaluate(evaluation.traced(), pieces, plan, kept, data.keySet());
    return new PipelineStep(
        traced.parameters(),
        held,
        ProgramVerifier.verify(train),
        ProgramVerifier.verify(ends.norm()),
        ProgramVerifier.verify(ends.update()),
        ProgramVerifier.verify(evaluate),
        loss,
        weight,
        evaluation.traced().graph().outputValues().stream().map(Value::name).toList(),
        evaluation.measures(),
        level,
        List.copyOf(remarks));
  }

  /** Whether forward and backward can run as one: nothing is cut, nothing made again. */
  private static boolean isWhole(PipelinePlan plan) {
    return plan.pieces() == 1 && plan.recomputationOf(0) instanceof Recomputation.None;
  }

  private static Level chosen(
      PipelinePlan plan, SubPipelining.Candidates candidates, Set<String> remarks) {
    SubPipelining.Chosen chosen = plan.halves().choose(candidates);
    chosen.remark().ifPresent(remarks::add);
    return chosen.level();
  }

  /** Where stages leave the gradients of what they hold: in accumulators, added up or folded. */
  private static List<Map<String, StepEnds.Gradient>> gradients(
      Program train, Assembly assembly, List<List<Parameter>> held, Map<String, Layout> kept) {
    var gradients = new ArrayList<Map<String, StepEnds.Gradient>>();
    for (int stage = 0; stage < held.size(); stage++) {
      Map<String, Layout> layouts = new HashMap<>();
      train.stages().get(stage).buffers().forEach(b -> layouts.put(b.name(), b.layout()));
      Map<String, StepEnds.Gradient> own = new HashMap<>();
      for (Parameter parameter : held.get(stage)) {
        String sum = parameter.key() + ".sum";
        @Nullable Layout last = assembly.folded(stage).contains(sum) ? kept.get(sum) : null;
        // What could not take over the accumulator's memory, its parts being smaller, has its own.
        String apart = parameter.key() + ".gradient";
        own.put(
            parameter.key(),
            last == null
                ? new StepEnds.Gradient(sum, Objects.requireNonNull(layouts.get(sum)))
                : new StepEnds.Gradient(layouts.containsKey(apart) ? apart : sum, last));
      }
      gradients.add(own);
    }
    return gradients;
  }

  /** How things lie by name, the parts of parameters that pieces have included. */
  private static Map<String, Layout> ofPieces(
      Map<String, Layout> kept, List<Piece> pieces, Optimizer optimizer) {
    var endings = new ArrayList<>(List.of("", ".sum"));
    optimizer.slots().forEach(slot -> endings.add("." + slot));
    Map<String, Layout> all = new HashMap<>(kept);
    for (Piece piece : pieces) {
      for (Parameter parameter : piece.parameters()) {
        for (String ending : endings) {
          Layout layout = kept.get(parameter.name() + ending);
          if (layout != null) {
            all.put(parameter.key() + ending, layout);
          }
        }
      }
    }
    return all;
  }

  /** What each stage holds: a parameter that several of its pieces read only once. */
  private static List<List<Parameter>> held(List<Piece> pieces, PipelinePlan plan) {
    var stages = new ArrayList<List<Parameter>>();
    for (int stage = 0; stage < plan.stages(); stage++) {
      var own = new LinkedHashMap<String, Parameter>();
      for (Piece piece : pieces) {
        if (plan.stageOf(piece.number()) == stage) {
          piece.parameters().forEach(p -> own.putIfAbsent(p.key(), p));
        }
      }
      stages.add(List.copyOf(own.values()));
    }
    return stages;
  }

  private static Program evaluate(
      Traced traced,
      List<Piece> trained,
      PipelinePlan plan,
      Map<String, Layout> kept,
      Set<String> data) {
    List<Piece> pieces = Cutting.of(traced).like(trained);
    Map<String, Layout> layouts = new HashMap<>(kept);
    var partitions = new Partitions(plan.mesh());
    var graphs = new ArrayList<PieceGraphs>();
    for (Piece piece : pieces) {
      graphs.add(ForwardPiece.of(piece, plan.mesh(), layouts, partitions));
    }
    var stages = new ArrayList<List<Action>>();
    for (int stage = 0; stage < plan.stages(); stage++) {
      var actions = new ArrayList<Action>();
      for (int chunk = 0; chunk < plan.chunks(); chunk++) {
        actions.add(new Action(Work.FORWARD, 0, chunk));
      }
      stages.add(actions);
    }
    var order = new Order("forward", plan.chunks(), 1, stages);
    return Assembly.of(graphs, order, data).program("evaluate");
  }
}
