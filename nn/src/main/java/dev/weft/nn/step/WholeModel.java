package dev.weft.nn.step;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageBuilder;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The micro-batches of a model that is not cut and keeps all for its backward: forward and backward
 * are one fragment, so that nothing need be held between them by name.
 */
final class WholeModel {
  /** The first outputs of a pass are loss and weight, then come gradients. */
  private static final int GRADIENTS = 2;

  private static final String SUM = ".sum";

  /**
   * A graph that is run for some micro-batches one after another.
   *
   * @param whole of the whole model
   * @param local on each device
   */
  private record Pass(
      Graph whole, Graph local, List<Layout> inputs, List<Layout> outputs, int count) {
    static Pass alone(Graph graph, int count) {
      return new Pass(graph, graph, whole(graph.inputValues()), whole(graph.outputValues()), count);
    }

    private static List<Layout> whole(List<Value> values) {
      return values.stream().map(v -> Layout.whole(v.type().rank())).toList();
    }

    static Pass of(ShardedStep.Pass pass) {
      ShardedStep.Half half = pass.half();
      return new Pass(
          half.program(),
          half.partitioned().graph(),
          half.partitioned().inputs(),
          half.partitioned().outputs(),
          pass.count());
    }
  }

  private final StepGraphs graphs;
  private final List<Pass> passes;
  private final StageBuilder builder;
  private final int kept;
  private final int batch;
  private final int made;
  private final Map<String, StepEnds.Gradient> gradients = new HashMap<>();

  private WholeModel(StepGraphs graphs, Mesh mesh, List<Pass> passes) {
    this.graphs = graphs;
    this.passes = passes;
    this.builder = new StageBuilder(0, mesh);
    this.kept = builder.pool(new Pool("kept", 1, true));
    this.batch = builder.pool(new Pool("batch", 1, false));
    this.made = builder.pool(new Pool("made", 1, false));
  }

  /**
   * The step of one device.
   *
   * @param microBatches how many a step has
   */
  static WholeModel alone(StepGraphs graphs, Mesh mesh, int microBatches) {
    Stream<Pass> next =
        microBatches > 1
            ? Stream.of(Pass.alone(graphs.microNext(), microBatches - 1))
            : Stream.empty();
    return new WholeModel(
        graphs, mesh, Stream.concat(Stream.of(Pass.alone(graphs.micro(), 1)), next).toList());
  }

  /** The step of a mesh's devices. */
  static WholeModel of(StepGraphs graphs, Mesh mesh, List<ShardedStep.Pass> passes) {
    return new WholeModel(graphs, mesh, passes.stream().map(Pass::of).toList());
  }

  /**
   * The program of all micro-batches.
   *
   * @param loss the name of the sum of losses
   * @param weight the name of the loss's weight
   */
  Program train(String loss, String weight) {
    var fragments = new ArrayList<Integer>();
    for (int i = 0; i < passes.size(); i++) {
      fragments.add(fragment(passes.get(i), i, List.of(loss, weight)));
    }
    int microBatch = 0;
    for (int i = 0; i < passes.size(); i++) {
      for (int run = 0; run < passes.get(i).count(); run++) {
        builder.feed(batch, 0, microBatch);
        builder.run(fragments.get(i), microBatch++);
      }
    }
    return new Program("train", microBatch, List.of(builder.build()));
  }

  /** Where the program leaves gradients, by the parameter's name. */
  Map<String, StepEnds.Gradient> gradients() {
    return Map.copyOf(gradients);
  }

  private int fragment(Pass pass, int number, List<String> names) {
    Map<Value, Integer> given = new HashMap<>();
    var read = new ArrayList<Integer>();
    for (int i = 0; i < pass.whole().inputs().size(); i++) {
      Graph.Input input = pass.whole().inputs().get(i);
      Value local = pass.local().inputs().get(i).value();
      int pool =
          switch (input.kind()) {
            case PARAMETER, STATE, ACCUMULATOR -> kept;
            case DATA, FACT -> batch;
          };
      String name = input.value().name();
      int buffer =
          buffer(name, input.value(), pass.inputs().get(i), local.type(), input.kind(), pool);
      given.put(local, buffer);
      read.add(buffer);
    }
    var written = new ArrayList<Integer>();
    for (int i = 0; i < pass.whole().outputs().size(); i++) {
      Value whole = pass.whole().outputs().get(i).value();
      Layout layout = pass.outputs().get(i);
      Graph.Output local = pass.local().outputs().get(i);
      TensorType type = local.value().type();
      if (i < GRADIENTS) {
        written.add(buffer(names.get(i), whole, layout, type, Graph.Kind.STATE, made));
        continue;
      }
      String parameter = graphs.parameters().get(i - GRADIENTS).name();
      Integer donated = local.donated() == null ? null : given.get(local.donated());
      // What cannot take over an accumulator's memory, its parts being smaller, has its own.
      String name = number > 0 && donated == null ? parameter + ".gradient" : parameter + SUM;
      int buffer =
          donated != null
              ? donated
              : buffer(name, whole, layout, type, Graph.Kind.ACCUMULATOR, kept);
      written.add(buffer);
      gradients.put(parameter, new StepEnds.Gradient(name, layout));
    }
    Graph graph = pass.local();
    return builder.fragment(
        new Fragment(graph.name() + suffix(number), Work.MICRO_BATCH, 0, graph, read, written));
  }

  /** Two passes may be of one graph, the last of them folding what the others add up. */
  private String suffix(int number) {
    return number == 2 ? "_last" : "";
  }

  private int buffer(
      String name, Value whole, Layout layout, TensorType local, Graph.Kind kind, int pool) {
    return builder
        .find(name)
        .orElseGet(() -> builder.buffer(new Buffer(name, whole.type(), layout, local, kind, pool)));
  }
}
