package dev.weft.nn.step;

import dev.weft.core.cluster.DimSpec;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Shard;
import dev.weft.core.shard.Propagation;
import dev.weft.core.trace.Parameter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What lives from step to step, split over the data axis as well (Rajbhandari et al., ZeRO): stage
 * 1 splits the optimizer's slots, 2 the gradients too, 3 the parameters too. It is a matter of
 * specs alone: collectives follow from them.
 */
public final class Zero {
  /** The mesh axis of the batch. */
  public static final String AXIS = "data";

  private Zero() {}

  /**
   * The specs of parameters, gradients ({@code .sum}) and slots by the names that graphs have for
   * them. A parameter's own is that which annotations give it; an average keeps it.
   *
   * @param stage 0 to 3
   * @param slots the optimizer's
   * @throws UserException if there is no such stage
   */
  public static Map<String, Spec> specs(
      StepGraphs graphs, List<String> slots, Mesh mesh, int stage) {
    if (stage < 0 || stage > 3) {
      throw new UserException("zero must be 0, 1, 2 or 3, found " + stage);
    }
    Propagation.Result known = Propagation.propagate(graphs.micro(), mesh, Map.of());
    var specs = new LinkedHashMap<String, Spec>();
    for (Parameter parameter : graphs.parameters()) {
      String name = parameter.name();
      Spec own = known.spec(graphs.micro().input(name).orElseThrow());
      if (parameter.averaged()) {
        specs.put(name, own);
        specs.put(name + ".sum", own);
        continue;
      }
      Spec split = split(parameter, own, mesh);
      specs.put(name, stage >= 3 ? split : own);
      specs.put(name + ".sum", stage >= 2 ? split : own);
      slots.forEach(slot -> specs.put(name + "." + slot, stage >= 1 ? split : own));
    }
    return specs;
  }

  /**
   * A spec with the data axis added: to the largest whole dim that it divides, else inside the
   * largest tiles of a split dim that it divides, else to the largest dim that it leaves no tile of
   * empty, else nowhere. The dims of stacked layers stay whole.
   */
  static Spec split(Parameter parameter, Spec own, Mesh mesh) {
    int n = mesh.size(AXIS);
    if (n == 1 || own.axes().contains(AXIS)) {
      return own;
    }
    int best = -1;
    long bestRank = -1;
    long bestSize = 0;
    for (int dim = parameter.stackedDims(); dim < own.rank(); dim++) {
      long size = parameter.type().size(dim);
      long tiles = mesh.size(own.axes(dim));
      boolean even = size % (tiles * n) == 0;
      long rank = (even ? 2 : 0) + (tiles == 1 ? 1 : 0);
      boolean better = rank > bestRank || (rank == bestRank && size > bestSize);
      if (size >= tiles * n && better) {
        best = dim;
        bestRank = rank;
        bestSize = size;
      }
    }
    if (best < 0) {
      return own;
    }
    var dims = new ArrayList<>(own.dims());
    var axes = new ArrayList<>(own.axes(best));
    axes.add(AXIS);
    dims.set(best, new DimSpec.Split(axes));
    return new Spec(dims);
  }

  /**
   * The graphs with these specs written on their inputs and outputs: an output is known by the
   * input whose memory it takes over, the gradients of {@code micro} by their order.
   */
  public static StepGraphs annotate(StepGraphs graphs, Map<String, Spec> specs) {
    var gradients = new ArrayList<String>(List.of("", ""));
    graphs.parameters().forEach(p -> gradients.add(p.name() + ".sum"));
    Map<String, Mark> marks = marks(graphs.parameters(), specs);
    return new StepGraphs(
        graphs.parameters(),
        annotate(graphs.micro(), marks, gradients),
        annotate(graphs.microNext(), marks, gradients),
        annotate(graphs.norm(), marks, List.of()),
        annotate(graphs.update(), marks, List.of()),
        annotate(graphs.evaluate(), marks, List.of()),
        graphs.measures());
  }

  /** What is written on a tensor, and the line that asks for its parameter. */
  private record Mark(Spec spec, String source) {}

  private static Map<String, Mark> marks(List<Parameter> parameters, Map<String, Spec> specs) {
    Map<String, Mark> marks = new HashMap<>();
    specs.forEach(
        (name, spec) -> {
          String source =
              parameters.stream()
                  .filter(p -> name.equals(p.name()) || name.startsWith(p.name() + "."))
                  .max(Comparator.comparing(p -> p.name().length()))
                  .map(Parameter::source)
                  .orElse("");
          marks.put(name, new Mark(spec, source));
        });
    return marks;
  }

  private static Graph annotate(Graph graph, Map<String, Mark> marks, List<String> names) {
    Set<String> taken = new HashSet<>();
    graph.inputValues().forEach(v -> taken.add(v.name()));
    graph.nodes().forEach(n -> n.outputs().forEach(v -> taken.add(v.name())));
    Map<Value, Value> replaced = new HashMap<>();
    var nodes = new ArrayList<Node>();
    for (Value input : graph.inputValues()) {
      Mark mark = marks.get(input.name());
      if (mark != null) {
        nodes.add(annotation(input, mark, Role.FORWARD, taken));
        replaced.put(input, nodes.getLast().output(0));
      }
    }
    for (Node node : graph.nodes()) {
      nodes.add(
          new Node(node.op(), current(node.inputs(), replaced), node.outputs(), node.origin()));
    }
    Map<Value, Node> producers = graph.producers();
    var outputs = new ArrayList<Graph.Output>();
    for (int i = 0; i < graph.outputs().size(); i++) {
      Graph.Output output = graph.outputs().get(i);
      Value value = replaced.getOrDefault(output.value(), output.value());
      @Nullable Value donated = output.donated();
      String name = donated != null ? donated.name() : i < names.size() ? names.get(i) : "";
      Mark mark = marks.get(name);
      if (mark != null) {
        Node producer = producers.get(output.value());
        Role role =
            producer == null || !names.isEmpty() ? Role.WEIGHT_GRADIENT : producer.origin().role();
        nodes.add(annotation(value, mark, role, taken));
        value = nodes.getLast().output(0);
      }
      outputs.add(new Graph.Output(value, donated));
    }
    return Verifier.verify(
        "splitting state", new Graph(graph.name(), graph.inputs(), nodes, outputs));
  }

  private static Node annotation(Value value, Mark mark, Role role, Set<String> taken) {
    String name = value.name() + ".split";
    while (!taken.add(name)) {
      name += "_";
    }
    return new Node(
        new Shard(mark.spec),
        List.of(value),
        List.of(new Value(name, value.type())),
        new Origin(name, role, mark.source));
  }

  private static List<Value> current(List<Value> values, Map<Value, Value> replaced) {
    return values.stream().map(v -> replaced.getOrDefault(v, v)).toList();
  }
}
