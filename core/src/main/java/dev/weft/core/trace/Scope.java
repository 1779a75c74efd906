package dev.weft.core.trace;

import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiFunction;

/**
 * Where a model stands while it is traced: names of parameters begin with the scope's, and new
 * nodes belong to it.
 */
public final class Scope {
  private final Trace trace;
  private final String path;
  private final Level level;

  /** A graph being built: the model's own, or the body of a repeat. */
  static final class Level {
    final Builder builder;
    final Map<String, Value> parameters = new LinkedHashMap<>();
    final @org.jspecify.annotations.Nullable Value round;

    Level(Builder builder, @org.jspecify.annotations.Nullable Value round) {
      this.builder = builder;
      this.round = round;
    }
  }

  /** Gives the parameter of an enclosing level, stacked for all rounds. */
  private final @org.jspecify.annotations.Nullable Stack stack;

  private record Stack(Scope outer, String prefix, int count, Map<String, Value> slices) {}

  Scope(Trace trace, String path, Level level, @org.jspecify.annotations.Nullable Stack stack) {
    this.trace = trace;
    this.path = path;
    this.level = level;
    this.stack = stack;
  }

  /** A scope within this one. */
  public Scope at(String name) {
    checkName(name);
    Scope inner = new Scope(trace, join(path, name), level, stack);
    level.builder.prefix(inner.path + ".");
    return inner;
  }

  /** The full name of something in this scope. */
  public String path() {
    return path;
  }

  /** Whether the model is traced for training: dropout works only then. */
  public boolean training() {
    return trace.training();
  }

  /**
   * A trainable tensor. Asking twice for one name gives the same tensor.
   *
   * @throws UserException if the name was used for another shape
   */
  public Tensor parameter(String name, Initializer initializer, long... sizes) {
    return parameter(name, initializer, false, sizes);
  }

  /**
   * A tensor that is not trained but follows what training sees, once per step: what reads it tells
   * by the gradient that it defines what that is, as {@link dev.weft.core.op.BatchNorm} does.
   *
   * @throws UserException if the name was used for another shape
   */
  public Tensor average(String name, Initializer initializer, long... sizes) {
    return parameter(name, initializer, true, sizes);
  }

  private Tensor parameter(String name, Initializer initializer, boolean averaged, long... sizes) {
    checkName(name);
    level.builder.prefix(path.isEmpty() ? "" : path + ".");
    TensorType type = new TensorType(trace.parameterType(), Shape.of(sizes));
    return new Tensor(level.builder, parameter(join(path, name), initializer, averaged, type, 0));
  }

  private Value parameter(
      String fullName, Initializer initializer, boolean averaged, TensorType type, int stacked) {
    Value known = level.parameters.get(fullName);
    if (known != null) {
      if (!known.type().equals(type)) {
        throw new UserException(
            "parameter "
                + fullName
                + " is asked for as "
                + type
                + " but is "
                + known.type()
                + " already; give one of them another name");
      }
      return known;
    }
    Value value;
    if (stack == null) {
      value =
          trace.parameter(
              new Parameter(
                  fullName, type, stacked, 0, averaged, initializer, level.builder.source()));
    } else {
      value = level.builder.input(fullName, type, Graph.Kind.DATA);
      String rest = fullName.substring(stack.prefix.length());
      Value whole =
          stack.outer.parameter(
              stack.prefix + ".*" + rest,
              initializer,
              averaged,
              type.with(type.shape().insert(0, stack.count)),
              stacked + 1);
      stack.slices.put(fullName, whole);
    }
    level.parameters.put(fullName, value);
    return value;
  }

  /**
   * Applies equal layers one after another. The body is traced once, whatever the count; its
   * parameters are stacked, and named {@code name.0.…}, {@code name.1.…}.
   *
   * @param body takes the layer's scope and its input, gives an output of the same type
   */
  public Tensor repeat(
      String name, int count, Tensor input, BiFunction<Scope, Tensor, Tensor> body) {
    return repeat(
            name,
            count,
            List.of(input),
            List.of(),
            (s, x, _) -> new Round(List.of(body.apply(s, x.getFirst())), List.of()))
        .carried()
        .getFirst();
  }

  /** What one round of a repeat gives: values for the next round, and slices of stacked outputs. */
  public record Round(List<Tensor> carried, List<Tensor> stacked) {}

  /** One round of a repeat: the scope, the carried values and the slices of stacked inputs. */
  @FunctionalInterface
  public interface RoundFunction {
    Round apply(Scope scope, List<Tensor> carried, List<Tensor> slices);
  }

  /**
   * Applies equal layers that also read and write slices of stacked tensors, as a cache.
   *
   * @param stacked tensors whose first dim has size {@code count}; layer i gets slice i
   * @return the carried values after the last layer, and the stacked outputs
   */
  public Round repeat(
      String name, int count, List<Tensor> carried, List<Tensor> stacked, RoundFunction body) {
    checkName(name);
    if (count < 1) {
      throw new UserException(
          "repeat " + join(path, name) + ": count must be at least 1, found " + count);
    }
    String layerPath = join(path, name);
    Builder inner = level.builder.nested(layerPath.replace('.', '_'));
    Value round = inner.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    var carriedIn = new ArrayList<Value>();
    for (Tensor tensor : carried) {
      carriedIn.add(inner.input(layerPath + ".in", tensor.type(), Graph.Kind.DATA));
    }
    var slices = new ArrayList<Value>();
    for (Tensor tensor : stacked) {
      if (tensor.rank() == 0 || tensor.size(0) != count) {
        throw new UserException(
            "repeat "
                + layerPath
                + ": a stacked tensor needs a first dim of size "
                + count
                + ", found "
                + tensor.type());
      }
      slices.add(
          inner.input(
              layerPath + ".slice",
              tensor.type().with(tensor.shape().without(0)),
              Graph.Kind.DATA));
    }
    var parameterSlices = new LinkedHashMap<String, Value>();
    Level innerLevel = new Level(inner, round);
    Scope layer =
        new Scope(trace, layerPath, innerLevel, new Stack(this, layerPath, count, parameterSlices));
    inner.prefix(layerPath + ".");
    Round result =
        body.apply(
            layer,
            carriedIn.stream().map(v -> new Tensor(inner, v)).toList(),
            slices.stream().map(v -> new Tensor(inner, v)).toList());
    for (int i = 0; i < carried.size(); i++) {
      if (!result.carried().get(i).type().equals(carried.get(i).type())) {
        throw new UserException(
            "repeat "
                + layerPath
                + ": a layer must give the type that it takes, "
                + carried.get(i).type()
                + ", found "
                + result.carried().get(i).type());
      }
    }
    // Resolving outputs may capture values of the enclosing graph: before the inputs are listed.
    var outputs = new ArrayList<Graph.Output>();
    for (Tensor tensor : result.carried()) {
      outputs.add(new Graph.Output(inner.resolve(tensor.value()), null));
    }
    for (Tensor tensor : result.stacked()) {
      outputs.add(new Graph.Output(inner.resolve(tensor.value()), null));
    }
    var arguments = new ArrayList<Graph.Input>();
    var operands = new ArrayList<Value>();
    arguments.add(new Graph.Input(round, Graph.Kind.DATA));
    carriedIn.forEach(v -> arguments.add(new Graph.Input(v, Graph.Kind.DATA)));
    carried.forEach(t -> operands.add(t.value()));
    slices.forEach(v -> arguments.add(new Graph.Input(v, Graph.Kind.DATA)));
    stacked.forEach(t -> operands.add(t.value()));
    parameterSlices.forEach(
        (slice, whole) -> {
          arguments.add(
              new Graph.Input(
                  Objects.requireNonNull(innerLevel.parameters.get(slice)), Graph.Kind.PARAMETER));
          operands.add(whole);
        });
    inner
        .captures()
        .forEach(
            (outer, captured) -> {
              arguments.add(new Graph.Input(captured, Graph.Kind.DATA));
              operands.add(outer);
            });
    Graph graph = new Graph(inner.build().name(), arguments, inner.nodes(), outputs);
    Repeat op =
        new Repeat(graph, count, carried.size(), stacked.size() + parameterSlices.size(), false);
    level.builder.prefix(path.isEmpty() ? "" : path + ".");
    List<Tensor> results =
        level.builder.add(op, operands, List.of(layerPath)).stream()
            .map(v -> new Tensor(level.builder, v))
            .toList();
    return new Round(
        results.subList(0, carried.size()), results.subList(carried.size(), results.size()));
  }

  /** A constant scalar. */
  public Tensor constant(DataType dtype, double number) {
    return Tensor.constant(level.builder, dtype, number);
  }

  /** A scalar (i64) that says which layer of the innermost repeat this is; 0 outside. */
  public Tensor layer() {
    return level.round == null ? constant(DataType.I64, 0) : new Tensor(level.builder, level.round);
  }

  /** A number that changes from step to step, an i64 scalar input of the graph. */
  public Tensor fact(String name) {
    return trace.fact(name);
  }

  private static void checkName(String name) {
    if (!name.matches("[A-Za-z0-9_]+")) {
      throw new UserException(
          "a name in a scope is made of letters, digits and _, found '" + name + "'");
    }
  }

  private static String join(String path, String name) {
    return path.isEmpty() ? name : path + "." + name;
  }
}
