package dev.weft.nn.step;

import dev.weft.core.grad.Autodiff;
import dev.weft.core.grad.MixedPrecision;
import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.GlobalNorm;
import dev.weft.core.op.Maximum;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Trace;
import dev.weft.core.trace.Traced;
import dev.weft.nn.model.Loss;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.optimizer.Optimizer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A training step: {@code micro} runs once per micro-batch, {@code norm} and {@code update} once
 * per step.
 *
 * <p>Graph inputs are found by name: the data and facts as the model names them, parameters by
 * {@link Parameter#name}, accumulators by that name and {@code .sum}, optimizer slots by that name
 * and the slot's.
 *
 * @param parameters in the order of the gradients
 * @param micro outputs: loss sum, weight, then the gradients
 * @param microNext the same for all micro-batches but the first: gradients are added onto
 *     accumulators
 * @param norm inputs: gradients of what is trained, {@code weight}; outputs: the norm of the mean
 *     gradient, and what the gradients must be divided by, clipping included
 * @param update inputs: parameters, slots, gradients, {@code learning_rate}, {@code step}, {@code
 *     divisor} (f32 scalars), and where there are averages {@link #MICRO_BATCHES}; outputs take
 *     over parameters and slots; gradients are used up
 * @param evaluate outputs: loss sum, weight, then the sums of the measures; without dropout
 * @param measures what the model measures besides its loss, by name
 */
public record StepGraphs(
    List<Parameter> parameters,
    Graph micro,
    Graph microNext,
    Graph norm,
    Graph update,
    Graph evaluate,
    List<String> measures) {

  /** The name of a token model's input. */
  public static final String TOKENS = "tokens";

  /** The name of what a token model is to foretell. */
  public static final String TARGETS = "targets";

  /** The fact (f32) of how many micro-batches a step has: averages move to the mean over these. */
  public static final String MICRO_BATCHES = "micro_batches";

  /**
   * The share of the newest step in an average (Ioffe and Szegedy leave it open; usual is this).
   */
  static final double NEWEST = 0.1;

  /** A model as a function of the scope and the batch. */
  @FunctionalInterface
  public interface Model extends BiFunction<Scope, Map<String, Tensor>, Loss> {}

  /**
   * Traces and differentiates a model. Its annotations stay in the graphs.
   *
   * @param data the types of a micro-batch by name
   * @param dtype what products are computed in: with f64 all floats of parameters are f64, with any
   *     other type parameters, accumulators and optimizer slots are f32
   * @param clip the largest norm of the mean gradient; 0 for no limit
   */
  public static StepGraphs of(
      Model model, Map<String, TensorType> data, DataType dtype, Optimizer optimizer, double clip) {
    return of(model, data, dtype, optimizer, clip, UnaryOperator.identity());
  }

  /** The same for one device: the graphs of the model without its annotations. */
  public static StepGraphs forOneDevice(
      Model model, Map<String, TensorType> data, DataType dtype, Optimizer optimizer, double clip) {
    return of(model, data, dtype, optimizer, clip, Shard::erase);
  }

  static StepGraphs of(
      Model model,
      Map<String, TensorType> data,
      DataType dtype,
      Optimizer optimizer,
      double clip,
      UnaryOperator<Graph> prepared) {
    var measures = new ArrayList<String>();
    Traced training = trace("micro", model, data, parameterType(dtype), true, measures);
    Traced evaluation = trace("evaluate", model, data, parameterType(dtype), false, measures);
    Graph forward = forward(training, dtype, prepared);
    List<Value> parameters = forward.inputs(Graph.Kind.PARAMETER);
    Value loss = forward.outputValues().getFirst();
    return new StepGraphs(
        training.parameters(),
        Optimize.optimize(Autodiff.gradients(forward, loss, parameters, false)),
        Optimize.optimize(Autodiff.gradients(forward, loss, parameters, true))
            .withName("micro_next"),
        norm(training.parameters(), clip, source(forward, loss)),
        update(training.parameters(), optimizer),
        forward(evaluation, dtype, prepared),
        List.copyOf(measures));
  }

  /** The step of a model of tokens: data {@code tokens} and {@code targets}, i64. */
  public static StepGraphs of(
      TokenModel model,
      ModelConfig config,
      long batch,
      DataType dtype,
      Optimizer optimizer,
      double clip) {
    return of(tokens(model, config), tokens(config, batch), dtype, optimizer, clip);
  }

  /** A model of tokens as one of its batch. */
  public static Model tokens(TokenModel model, ModelConfig config) {
    return (scope, tensors) ->
        model.loss(
            scope,
            config,
            Objects.requireNonNull(tensors.get(TOKENS)),
            Objects.requireNonNull(tensors.get(TARGETS)));
  }

  /** The batch of a model of tokens: {@code tokens} and {@code targets}, i64 [batch, sequence]. */
  public static Map<String, TensorType> tokens(ModelConfig config, long batch) {
    TensorType type = TensorType.of(DataType.I64, batch, config.sequence());
    var data = new LinkedHashMap<String, TensorType>();
    data.put(TOKENS, type);
    data.put(TARGETS, type);
    return data;
  }

  /**
   * A model as it is evaluated: without dropout. Outputs: loss sum, weight, then the sums of the
   * measures.
   *
   * @param measures what the model measures besides its loss, by name
   */
  public record Evaluation(Traced traced, List<String> measures) {}

  /** What evaluates a model; see {@link #forward(Model, Map, DataType, UnaryOperator)}. */
  public static Evaluation evaluation(
      Model model, Map<String, TensorType> data, DataType dtype, UnaryOperator<Graph> prepared) {
    var measures = new ArrayList<String>();
    Traced traced = trace("evaluate", model, data, parameterType(dtype), false, measures);
    return new Evaluation(traced.withGraph(forward(traced, dtype, prepared)), measures);
  }

  static DataType parameterType(DataType dtype) {
    return dtype == DataType.F64 ? DataType.F64 : DataType.F32;
  }

  /**
   * What {@link #of} differentiates: a model in training, simplified and in the types that it
   * computes in. Outputs: loss sum, weight.
   *
   * @param prepared what is done to the traced graph first: {@link Shard#erase}, or nothing
   */
  public static Traced forward(
      Model model, Map<String, TensorType> data, DataType dtype, UnaryOperator<Graph> prepared) {
    Traced traced = trace("forward", model, data, parameterType(dtype), true, new ArrayList<>());
    return traced.withGraph(forward(traced, dtype, prepared));
  }

  private static Graph forward(Traced traced, DataType dtype, UnaryOperator<Graph> prepared) {
    Graph simple = Optimize.optimize(prepared.apply(traced.graph()));
    return Optimize.optimize(
        Verifier.verify("mixed precision", MixedPrecision.apply(simple, dtype)));
  }

  /** The line of the model that makes a value. */
  private static String source(Graph graph, Value value) {
    Node producer = graph.producers().get(value);
    return producer == null ? "" : producer.origin().source();
  }

  private static Traced trace(
      String name,
      Model model,
      Map<String, TensorType> data,
      DataType parameterType,
      boolean training,
      List<String> measures) {
    return Trace.trace(
        name,
        parameterType,
        training,
        data,
        (scope, batch) -> {
          Loss loss = model.apply(scope, batch);
          var outputs = new ArrayList<>(List.of(loss.sum(), loss.weight()));
          if (!training) {
            measures.addAll(loss.measures().keySet());
            outputs.addAll(loss.measures().values());
          }
          return outputs;
        });
  }

  static Graph norm(List<Parameter> parameters, double clip, String source) {
    var builder = new Builder("norm");
    builder.origin(new Origin("norm", Role.UPDATE, source));
    var gradients = new ArrayList<Tensor>();
    for (Parameter parameter : parameters) {
      if (!parameter.averaged()) {
        gradients.add(input(builder, parameter.name() + ".sum", parameter.type(), Graph.Kind.DATA));
      }
    }
    Tensor weight = fact(builder, "weight");
    divide(builder, Tensor.apply(new GlobalNorm(), gradients).getFirst(), weight, clip);
    return Optimize.optimize(Verifier.verify("norm", builder.build()));
  }

  /**
   * Puts out the norm of the mean gradient, and what gradients must be divided by, clipping
   * included.
   *
   * @param norm of the sum of gradients
   * @param weight what the sum is divided by, where it is 1 at least
   */
  static void divide(Builder builder, Tensor norm, Tensor weight, double clip) {
    Tensor counted = Tensor.one(new Maximum(), weight, weight.scalar(1));
    Tensor mean = norm.dividedBy(counted);
    Tensor excess =
        clip > 0 ? Tensor.one(new Maximum(), mean.dividedBy(clip), mean.scalar(1)) : mean.scalar(1);
    builder.output(mean.value());
    builder.output(counted.times(excess).value());
  }

  static Graph update(List<Parameter> parameters, Optimizer optimizer) {
    var builder = new Builder("update");
    Tensor rate = fact(builder, "learning_rate");
    Tensor step = fact(builder, "step");
    Tensor divisor = fact(builder, "divisor");
    @Nullable Tensor microBatches =
        parameters.stream().anyMatch(Parameter::averaged) ? fact(builder, MICRO_BATCHES) : null;
    for (Parameter parameter : parameters) {
      String name = parameter.key();
      TensorType type = parameter.type();
      builder.origin(new Origin(name, Role.UPDATE, parameter.source()));
      Tensor value = input(builder, name, type, Graph.Kind.PARAMETER);
      Tensor gradient = input(builder, name + ".sum", type, Graph.Kind.ACCUMULATOR);
      if (parameter.averaged()) {
        Tensor distance =
            gradient.dividedBy(Objects.requireNonNull(microBatches).cast(type.dtype()));
        builder.output(value.minus(distance.times(NEWEST)).value(), value.value());
        continue;
      }
      var slots = new ArrayList<Tensor>();
      for (String slot : optimizer.slots()) {
        slots.add(input(builder, name + "." + slot, type, Graph.Kind.STATE));
      }
      boolean decay = parameter.sliceType().rank() >= 2;
      List<Tensor> results = optimizer.update(decay, value, gradient, slots, rate, step, divisor);
      builder.output(results.getFirst().value(), value.value());
      for (int i = 0; i < slots.size(); i++) {
        builder.output(results.get(i + 1).value(), slots.get(i).value());
      }
    }
    return Optimize.optimize(Verifier.verify("update", builder.build()));
  }

  private static Tensor fact(Builder builder, String name) {
    return input(builder, name, TensorType.scalar(DataType.F32), Graph.Kind.FACT);
  }

  private static Tensor input(Builder builder, String name, TensorType type, Graph.Kind kind) {
    return new Tensor(builder, builder.input(name, type, kind));
  }
}
