package dev.weft.nn.step;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.GlobalNorm;
import dev.weft.core.op.Tensor;
import dev.weft.core.program.Program;
import dev.weft.core.stage.Partitions;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.optimizer.Optimizer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** The programs that end a step whose gradients lie in the accumulators of all stages. */
final class StepEnds {
  private static final String SUM = ".sum";
  private static final String DIVISOR = "divisor";

  /**
   * Where a stage's gradient of a parameter lies when all micro-batches have run.
   *
   * @param name of the buffer
   */
  record Gradient(String name, Layout layout) {}

  private final List<Map<String, Gradient>> gradients;
  private final List<List<Parameter>> stages;
  private final Partitions partitions;
  private final Map<String, Layout> layouts;
  private final Optimizer optimizer;
  private final double clip;

  /**
   * For a program that leaves gradients in memory that is kept.
   *
   * @param gradients of each stage, by the parameters' keys
   * @param stages the parameters of each
   * @param layouts of parameters, slots and folded gradients, by name; what is missing is whole
   */
  StepEnds(
      List<Map<String, Gradient>> gradients,
      List<List<Parameter>> stages,
      Mesh mesh,
      Map<String, Layout> layouts,
      Optimizer optimizer,
      double clip) {
    this.gradients = gradients;
    this.stages = stages;
    partitions = new Partitions(mesh);
    this.layouts = layouts;
    this.optimizer = optimizer;
    this.clip = clip;
  }

  /** A parameter on a stage that does not own it. */
  private record Copy(Parameter parameter, int owner, int stage) {
    /** What the stage's gradient is called on its way to the owner. */
    String gradient() {
      return parameter.key() + SUM + ".of." + stage;
    }
  }

  /** All copies, in the one order that all stages send and receive in. */
  private List<Copy> copies() {
    var copies = new ArrayList<Copy>();
    for (int stage = 0; stage < stages.size(); stage++) {
      for (Parameter parameter : stages.get(stage)) {
        int owner = PipelineStep.owner(stages, parameter);
        if (owner != stage) {
          copies.add(new Copy(parameter, owner, stage));
        }
      }
    }
    return copies;
  }

  private List<Parameter> owned(int stage) {
    return stages.get(stage).stream().filter(p -> PipelineStep.owner(stages, p) == stage).toList();
  }

  private List<Parameter> trained(int stage) {
    return owned(stage).stream().filter(p -> !p.averaged()).toList();
  }

  private Layout layout(String name, TensorType type) {
    return layouts.getOrDefault(name, Layout.whole(type.rank()));
  }

  /** Where the gradient of a parameter lies on a stage. */
  private Gradient accumulated(int stage, Parameter parameter) {
    return Objects.requireNonNull(gradients.get(stage).get(parameter.key()), parameter.key());
  }

  /** The name under which the folded gradient of an owned parameter lies. */
  private String gradient(int stage, Parameter parameter) {
    Gradient own = accumulated(stage, parameter);
    boolean folded = own.layout().equals(layout(parameter.key() + SUM, parameter.type()));
    return folded ? own.name() : parameter.key() + ".gradient";
  }

  /**
   * Folds gradients, gathers those of one parameter at its owner, and makes the norm of the mean
   * gradient and what gradients must be divided by.
   */
  Program norm() {
    List<StageEnd> ends = ends();
    List<Copy> copies = copies();
    for (int stage = 0; stage < stages.size(); stage++) {
      fold(ends.get(stage), stage);
    }
    for (Copy copy : copies) {
      ends.get(copy.stage()).send(copy.gradient(), copy.owner());
      ends.get(copy.owner())
          .receive(
              copy.gradient(),
              copy.parameter().type(),
              layout(copy.parameter().key() + SUM, copy.parameter().type()),
              copy.stage());
    }
    var parts = new ArrayList<Integer>();
    for (int stage = 0; stage < stages.size(); stage++) {
      add(ends.get(stage), stage, copies);
      if (!trained(stage).isEmpty()) {
        part(ends.get(stage), stage);
        parts.add(stage);
      }
    }
    TensorType scalar = ends.get(parts.getFirst()).type(part(parts.getFirst()));
    for (int stage : parts) {
      if (stage != 0) {
        ends.get(stage).send(part(stage), 0);
        ends.getFirst().receive(part(stage), scalar, Layout.whole(0), stage);
      }
    }
    total(ends.getFirst(), parts, scalar);
    for (int stage = 1; stage < stages.size(); stage++) {
      ends.getFirst().send(DIVISOR, stage);
      ends.get(stage).receiveKept(DIVISOR, TensorType.scalar(DataType.F32), Layout.whole(0), 0);
    }
    return program("norm", ends);
  }

  private List<StageEnd> ends() {
    var ends = new ArrayList<StageEnd>();
    for (int stage = 0; stage < stages.size(); stage++) {
      ends.add(new StageEnd(stage, partitions));
    }
    return ends;
  }

  private static Program program(String name, List<StageEnd> ends) {
    return new Program(name, 1, ends.stream().map(StageEnd::build).toList());
  }

  private static String part(int stage) {
    return "norm.of." + stage;
  }

  private static Builder builder(String name) {
    var builder = new Builder(name);
    builder.origin(new Origin(name, Role.UPDATE, ""));
    return builder;
  }

  private static Tensor input(Builder builder, String name, TensorType type, Graph.Kind kind) {
    return new Tensor(builder, builder.input(name, type, kind));
  }

  /** Puts accumulated gradients into the layout of the update, others' under names of their own. */
  private void fold(StageEnd end, int stage) {
    Builder builder = builder("fold");
    Map<String, Layout> given = new HashMap<>();
    Map<String, Layout> results = new LinkedHashMap<>();
    for (Parameter parameter : stages.get(stage)) {
      boolean owned = PipelineStep.owner(stages, parameter) == stage;
      Gradient own = accumulated(stage, parameter);
      String sum = parameter.key() + SUM;
      String name = owned ? gradient(stage, parameter) : sum + ".of." + stage;
      if (!name.equals(own.name())) {
        Value value = builder.input(own.name(), parameter.type(), Graph.Kind.STATE);
        builder.output(value);
        given.put(own.name(), own.layout());
        results.put(name, layout(sum, parameter.type()));
      }
    }
    if (!results.isEmpty()) {
      end.run(builder.build(), given, results, name -> name.endsWith(".gradient"));
    }
  }

  private void add(StageEnd end, int stage, List<Copy> copies) {
    Builder builder = builder("add");
    Map<String, Layout> given = new HashMap<>();
    Map<String, Layout> results = new LinkedHashMap<>();
    for (Parameter parameter : owned(stage)) {
      List<Copy> others =
          copies.stream().filter(copy -> copy.parameter().equals(parameter)).toList();
      if (others.isEmpty()) {
        continue;
      }
      String name = gradient(stage, parameter);
      Layout layout = layout(parameter.key() + SUM, parameter.type());
      Tensor own = input(builder, name, parameter.type(), Graph.Kind.ACCUMULATOR);
      given.put(name, layout);
      Tensor sum = own;
      for (Copy copy : others) {
        sum = sum.plus(input(builder, copy.gradient(), parameter.type(), Graph.Kind.DATA));
        given.put(copy.gradient(), layout);
      }
      builder.output(sum.value(), own.value());
      results.put(name, layout);
    }
    if (!results.isEmpty()) {
      end.run(builder.build(), given, results, _ -> true);
    }
  }

  /** The norm of a stage's own gradients. */
  private void part(StageEnd end, int stage) {
    Builder builder = builder("norm");
    Map<String, Layout> given = new HashMap<>();
    var gradients = new ArrayList<Tensor>();
    for (Parameter parameter : trained(stage)) {
      String name = gradient(stage, parameter);
      gradients.add(input(builder, name, parameter.type(), Graph.Kind.STATE));
      given.put(name, layout(parameter.key() + SUM, parameter.type()));
    }
    Tensor norm = Tensor.apply(new GlobalNorm(), gradients).getFirst();
    builder.output(norm.value());
    end.run(builder.build(), given, Map.of(part(stage), Layout.whole(0)), _ -> false);
  }

  private void total(StageEnd end, List<Integer> parts, TensorType scalar) {
    Builder builder = builder("total");
    var norms = new ArrayList<Tensor>();
    for (int stage : parts) {
      norms.add(input(builder, part(stage), scalar, Graph.Kind.DATA));
    }
    Tensor weight = input(builder, "weight", TensorType.scalar(DataType.F32), Graph.Kind.FACT);
    Tensor whole = norms.getFirst();
    if (norms.size() > 1) {
      Tensor squares = whole.times(whole);
      for (Tensor other : norms.subList(1, norms.size())) {
        squares = squares.plus(other.times(other));
      }
      whole = squares.sqrt();
    }
    StepGraphs.divide(builder, whole, weight, clip);
    Map<String, Layout> results = new LinkedHashMap<>();
    results.put(PipelineStep.NORM, Layout.whole(0));
    results.put(DIVISOR, Layout.whole(0));
    end.run(builder.build(), Map.of(), results, DIVISOR::equals);
  }

  /** Changes parameters where they are owned, and sends them to the other stages that hold them. */
  Program update() {
    List<StageEnd> ends = ends();
    for (int stage = 0; stage < stages.size(); stage++) {
      update(ends.get(stage), stage);
    }
    for (Copy copy : copies()) {
      String name = copy.parameter().key();
      ends.get(copy.owner()).send(name, copy.stage());
      ends.get(copy.stage())
          .receiveKept(
              name, copy.parameter().type(), layout(name, copy.parameter().type()), copy.owner());
    }
    return program("update", ends);
  }

  private void update(StageEnd end, int stage) {
    List<Parameter> owned = owned(stage);
    if (owned.isEmpty()) {
      return;
    }
    Map<String, String> named = new HashMap<>();
    Map<String, Layout> given = new HashMap<>();
    for (Parameter parameter : owned) {
      String name = parameter.key();
      named.put(name + SUM, gradient(stage, parameter));
      given.put(name, layout(name, parameter.type()));
      given.put(gradient(stage, parameter), layout(name + SUM, parameter.type()));
      for (String slot : optimizer.slots(parameter)) {
        given.put(name + "." + slot, layout(name + "." + slot, parameter.type()));
      }
    }
    Graph graph = renamed(StepGraphs.update(owned, optimizer), named);
    Map<String, Layout> results = new LinkedHashMap<>();
    for (Graph.Output output : graph.outputs()) {
      String name = Objects.requireNonNull(output.donated()).name();
      results.put(name, layout(name, output.value().type()));
    }
    end.run(graph, given, results, _ -> true);
  }

  /** The graph with other names of inputs; what it divides by is kept on every stage. */
  private static Graph renamed(Graph graph, Map<String, String> names) {
    Map<Value, Value> others = new HashMap<>();
    for (Value value : graph.inputValues()) {
      String name = names.getOrDefault(value.name(), value.name());
      others.put(value, new Value(name, value.type()));
    }
    Graph renamed = graph.replaced(others);
    List<Graph.Input> inputs =
        renamed.inputs().stream()
            .map(
                input ->
                    input.value().name().equals(DIVISOR)
                        ? new Graph.Input(input.value(), Graph.Kind.STATE)
                        : input)
            .toList();
    return Optimize.optimize(
        Verifier.verify(
            graph.name(), new Graph(graph.name(), inputs, renamed.nodes(), renamed.outputs())));
  }
}
