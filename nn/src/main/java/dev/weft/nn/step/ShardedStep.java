package dev.weft.nn.step;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.core.overlap.CollectiveMatmul;
import dev.weft.core.overlap.Level;
import dev.weft.core.overlap.Rows;
import dev.weft.core.overlap.SubPipeline;
import dev.weft.core.program.Program;
import dev.weft.core.shard.Explanation;
import dev.weft.core.shard.MeshCheck;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import dev.weft.core.trace.Parameter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A training step for the devices of a mesh.
 *
 * <p>Parameters, their optimizer slots and what is left of gradients at last lie as {@link
 * Zero#specs} says. Between micro-batches gradients stay parts of sums, as the backward makes them,
 * unless ZeRO splits them (stage 2); the last pass folds them, so that collectives can run beside
 * the rest of its backward. Where slots are split (stage 1) gradients are folded into the same
 * split, which is all that the update reads. A gradient leaves the last pass in the layout that
 * {@code norm} and {@code update} take it in, and every other pass in that which the next one
 * takes.
 *
 * @param passes over micro-batches, in order
 * @param norm see {@link StepGraphs#norm}
 * @param update see {@link StepGraphs#update}
 * @param evaluate see {@link StepGraphs#evaluate}
 */
public record ShardedStep(List<Pass> passes, Half norm, Half update, Half evaluate) {
  /**
   * A graph, whole and for the devices.
   *
   * @param program the whole one
   */
  public record Half(Graph program, Partitioned partitioned) {
    /** The layout of the input of that name. */
    public Layout input(String name) {
      return partitioned.inputs().get(program.inputValues().indexOf(value(name)));
    }

    private Half inHalves(Level level) {
      return new Half(program, SubPipeline.apply(partitioned, level, rows()));
    }

    /** Where the rows of the batch lie in what the graph takes. */
    Rows rows() {
      return Rows.of(program);
    }

    private Half looped() {
      return new Half(program, CollectiveMatmul.apply(partitioned));
    }

    private Value value(String name) {
      return program.input(name).orElseThrow();
    }
  }

  /**
   * A graph that is run for some micro-batches one after another.
   *
   * @param count how many
   */
  public record Pass(Half half, int count) {}

  /** The first outputs of {@code micro} are loss and weight, then come gradients. */
  private static final int GRADIENTS = 2;

  public ShardedStep {
    passes = List.copyOf(passes);
  }

  /**
   * Splits a step over a mesh.
   *
   * @param zero the stage of ZeRO, 0 to 3
   * @param microBatches how many a step has
   * @throws dev.weft.core.cluster.UserException if no annotation of the model names an axis of the
   *     mesh, or there is no such stage
   */
  public static ShardedStep of(StepGraphs graphs, Mesh mesh, int zero, int microBatches) {
    MeshCheck.requireUsed(mesh, MeshCheck.axesInUse(graphs.micro()));
    Map<String, Layout> kept = kept(graphs, mesh, zero);
    return new ShardedStep(
        passes(graphs, mesh, zero, microBatches, kept),
        half(graphs.norm(), mesh, kept),
        half(graphs.update(), mesh, kept),
        half(graphs.evaluate(), mesh, kept));
  }

  /**
   * How parameters, slots and folded gradients ({@code .sum}) lie, by name. Where slots are split
   * gradients are folded into the same split, which is all that the update reads.
   */
  static Map<String, Layout> kept(StepGraphs graphs, Mesh mesh, int zero) {
    List<String> slots = slots(graphs);
    Map<String, Layout> kept = new HashMap<>();
    Zero.specs(graphs, slots, mesh, zero)
        .forEach((name, spec) -> kept.put(name, Layout.of(spec, mesh)));
    if (zero == 1 && !slots.isEmpty()) {
      for (Parameter parameter : graphs.parameters()) {
        if (!parameter.averaged()) {
          String name = parameter.name();
          kept.put(name + ".sum", layout(kept, name + "." + slots.getFirst()));
        }
      }
    }
    return kept;
  }

  /**
   * The same step with the rows of each micro-batch in two halves, one computing while what the
   * other needs is sent; see {@link SubPipeline}. Evaluation is not changed.
   *
   * @throws dev.weft.core.cluster.UserException if a device has one row of a micro-batch only
   */
  public ShardedStep inHalves(Level level) {
    return new ShardedStep(inHalves(passes, level), norm, update, evaluate);
  }

  /** Passes in halves. */
  public static List<Pass> inHalves(List<Pass> passes, Level level) {
    return passes.stream().map(p -> new Pass(p.half().inHalves(level), p.count())).toList();
  }

  /** Among what a level of halves is chosen. */
  static SubPipelining.Candidates candidates(
      List<Pass> passes, Function<List<Pass>, Program> program) {
    Half first = passes.getFirst().half();
    return new SubPipelining.Candidates(
        SubPipeline.rows(first.partitioned().graph(), first.rows()).orElse(0),
        level -> program.apply(inHalves(passes, level)));
  }

  /**
   * The same step with collectives looped beside the products of its micro-batches; see {@link
   * CollectiveMatmul}. Evaluation is not changed.
   */
  public ShardedStep looped() {
    return new ShardedStep(looped(passes), norm, update, evaluate);
  }

  /** Passes with looped collectives. */
  public static List<Pass> looped(List<Pass> passes) {
    return passes.stream().map(p -> new Pass(p.half().looped(), p.count())).toList();
  }

  /** What devices run in passes. */
  public static List<Graph> graphs(List<Pass> passes) {
    return passes.stream().map(p -> p.half().partitioned().graph()).toList();
  }

  /**
   * What runs for micro-batches.
   *
   * @param kept see {@link #kept}
   */
  static List<Pass> passes(
      StepGraphs graphs, Mesh mesh, int zero, int microBatches, Map<String, Layout> kept) {
    Map<Integer, Layout> folded = new HashMap<>();
    Set<Integer> all = new HashSet<>();
    for (int i = 0; i < graphs.parameters().size(); i++) {
      folded.put(GRADIENTS + i, layout(kept, graphs.parameters().get(i).name() + ".sum"));
      all.add(GRADIENTS + i);
    }
    if (microBatches == 1) {
      return List.of(new Pass(half(graphs.micro(), mesh, kept, folded, Set.of()), 1));
    }
    boolean isSplit = zero >= 2;
    Graph adding = isSplit ? LateAccumulation.of(graphs.microNext()) : graphs.microNext();
    Map<Integer, Layout> between = isSplit ? folded : Map.of();
    Set<Integer> loose = isSplit ? Set.of() : all;
    Half first = half(graphs.micro(), mesh, kept, between, loose);
    Map<String, Layout> added = new HashMap<>(kept);
    for (int i = 0; i < graphs.parameters().size(); i++) {
      added.put(
          graphs.parameters().get(i).name() + ".sum",
          first.partitioned().outputs().get(GRADIENTS + i));
    }
    // A micro-batch lies alike for all passes.
    for (int i = 0; i < graphs.micro().inputs().size(); i++) {
      Graph.Input input = graphs.micro().inputs().get(i);
      if (input.kind() == Graph.Kind.DATA) {
        added.put(input.value().name(), first.partitioned().inputs().get(i));
      }
    }
    var passes = new ArrayList<>(List.of(new Pass(first, 1)));
    if (microBatches > 2) {
      // What is added onto stays as it lies: outputs take over the memory of accumulators.
      Half next = half(adding, mesh, added, Map.of(), Set.of());
      passes.add(new Pass(next, microBatches - 2));
    }
    passes.add(new Pass(half(adding, mesh, added, folded, Set.of()), 1));
    return passes;
  }

  /** What the optimizer remembers of a parameter, by the inputs of the update. */
  private static List<String> slots(StepGraphs graphs) {
    @Nullable Parameter trained =
        graphs.parameters().stream().filter(p -> !p.averaged()).findFirst().orElse(null);
    if (trained == null) {
      return List.of();
    }
    String prefix = trained.name() + ".";
    return graphs.update().inputs(Graph.Kind.STATE).stream()
        .map(Value::name)
        .filter(name -> name.startsWith(prefix) && name.indexOf('.', prefix.length()) < 0)
        .map(name -> name.substring(prefix.length()))
        .toList();
  }

  private static Half half(Graph graph, Mesh mesh, Map<String, Layout> kept) {
    return half(graph, mesh, kept, Map.of(), Set.of());
  }

  private static Half half(
      Graph graph,
      Mesh mesh,
      Map<String, Layout> kept,
      Map<Integer, Layout> outputs,
      Set<Integer> loose) {
    Map<Value, Layout> inputs = new HashMap<>();
    for (Value input : graph.inputValues()) {
      @Nullable Layout layout = kept.get(input.name());
      if (layout != null) {
        inputs.put(input, layout);
      }
    }
    var given = new Partitioner.Given(Map.of(), inputs, outputs, loose);
    return new Half(graph, Partitioner.partition(graph, mesh, given));
  }

  private static Layout layout(Map<String, Layout> kept, String name) {
    return Objects.requireNonNull(kept.get(name), name);
  }

  /** What could not be split, and why; each once. */
  public List<String> remarks() {
    return Stream.concat(passes.stream().map(Pass::half), Stream.of(norm, update, evaluate))
        .flatMap(half -> half.partitioned().remarks().stream())
        .distinct()
        .toList();
  }

  /** What a step comes to, all its micro-batches included; without evaluation. */
  public Explanation explanation() {
    Explanation all = new Explanation(List.of(), List.of(), List.of());
    for (Pass pass : passes) {
      Half half = pass.half();
      all = all.and(Explanation.of(half.program(), half.partitioned(), pass.count()));
    }
    return all.and(Explanation.of(norm.program(), norm.partitioned()))
        .and(Explanation.of(update.program(), update.partitioned()));
  }
}
