package dev.weft.core.trace;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** One tracing of a model: declares its data, calls it, and keeps what it asked for. */
public final class Trace {
  /** Packages whose frames are never the line of a model. */
  private static final Set<String> INNER = Set.of("dev.weft.core.", "dev.weft.nn.layer.");

  private final Builder builder;
  private final DataType parameterType;
  private final boolean training;
  private final List<Parameter> parameters = new ArrayList<>();
  private final Map<String, Value> facts = new LinkedHashMap<>();

  private Trace(String name, DataType parameterType, boolean training) {
    this.builder = new Builder(name, Trace::source);
    this.parameterType = parameterType;
    this.training = training;
  }

  /**
   * Traces a function.
   *
   * @param name of the graph
   * @param parameterType the data type that parameters are asked for in
   * @param training whether dropout works
   * @param data the types of the batch by name, in order
   * @param model takes the root scope and the data, gives the graph's outputs
   * @return the graph: inputs are data, facts, parameters
   */
  public static Traced trace(
      String name,
      DataType parameterType,
      boolean training,
      Map<String, TensorType> data,
      TracedFunction model) {
    var trace = new Trace(name, parameterType, training);
    var batch = new LinkedHashMap<String, Tensor>();
    data.forEach(
        (input, type) ->
            batch.put(
                input,
                new Tensor(trace.builder, trace.builder.input(input, type, Graph.Kind.DATA))));
    Scope root = new Scope(trace, "", new Scope.Level(trace.builder, null), null);
    for (Tensor output : model.apply(root, batch)) {
      trace.builder.output(trace.builder.resolve(output.value()));
    }
    Graph graph = trace.builder.build();
    var inputs = new ArrayList<Graph.Input>();
    for (Graph.Kind kind : List.of(Graph.Kind.DATA, Graph.Kind.FACT, Graph.Kind.PARAMETER)) {
      graph.inputs().stream().filter(i -> i.kind() == kind).forEach(inputs::add);
    }
    Graph ordered = new Graph(name, inputs, graph.nodes(), graph.outputs());
    return new Traced(Verifier.verify("trace", ordered), List.copyOf(trace.parameters));
  }

  /** A model as a function of the root scope and the batch. */
  @FunctionalInterface
  public interface TracedFunction {
    List<Tensor> apply(Scope scope, Map<String, Tensor> data);
  }

  boolean training() {
    return training;
  }

  DataType parameterType() {
    return parameterType;
  }

  Value parameter(Parameter parameter) {
    Value value = builder.input(parameter.name(), parameter.type(), Graph.Kind.PARAMETER);
    parameters.add(parameter);
    return value;
  }

  Tensor fact(String name) {
    Value value =
        facts.computeIfAbsent(
            name, n -> builder.input(n, TensorType.scalar(DataType.I64), Graph.Kind.FACT));
    return new Tensor(builder, value);
  }

  /** The innermost line that is not Weft's own machinery. */
  private static String source() {
    Function<java.util.stream.Stream<StackWalker.StackFrame>, String> first =
        frames ->
            frames
                .filter(f -> INNER.stream().noneMatch(p -> f.getClassName().startsWith(p)))
                .findFirst()
                .map(f -> f.getFileName() + ":" + f.getLineNumber())
                .orElse("");
    return StackWalker.getInstance().walk(first);
  }
}
