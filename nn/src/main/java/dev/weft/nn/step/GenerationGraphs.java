package dev.weft.nn.step;

import dev.weft.core.grad.MixedPrecision;
import dev.weft.core.grad.NarrowParameters;
import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Tensor;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Trace;
import dev.weft.core.trace.Traced;
import dev.weft.nn.model.GenerativeModel;
import dev.weft.nn.model.GenerativeModel.Cache;
import dev.weft.nn.model.GenerativeModel.Continuation;
import dev.weft.nn.model.ModelConfig;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Continuing a text as two graphs: prefill reads its beginning, decode one token more each time.
 *
 * <p>Both take {@code tokens} (i64 [1, length], for decode [1, 1]), the fact {@code position} (the
 * place of the last token that counts), the cache {@code keys} and {@code values}, and parameters
 * by {@link Parameter#name}. Both return the logits [vocabulary] of the next token, then keys and
 * values, which take over the memory of those given.
 *
 * <p>A parameter that decode only uses in the type of its products is taken in that type, by both:
 * who calls them rounds it once. {@link Traced#parameters} keep the types that are trained.
 */
public final class GenerationGraphs {
  public static final String POSITION = "position";
  public static final String KEYS = "keys";
  public static final String VALUES = "values";

  private GenerationGraphs() {}

  /**
   * Traces the reading of a text's beginning.
   *
   * @param decode what {@link #decode} gives for the same model: both take the same parameters
   * @param length how many tokens are read at once; what is behind {@code position} is padding
   * @param dtype what products are computed in, and what the cache holds
   */
  public static Traced prefill(
      Traced decode, GenerativeModel model, ModelConfig config, long length, DataType dtype) {
    Traced traced =
        trace(
            "prefill" + length,
            config,
            length,
            dtype,
            (scope, tokens, cache) ->
                model.prefill(scope, config, tokens, scope.fact(POSITION), cache));
    Set<String> narrow = new HashSet<>();
    for (Value parameter : decode.graph().inputs(Graph.Kind.PARAMETER)) {
      if (parameter.dtype() == dtype) {
        narrow.add(parameter.name());
      }
    }
    return traced.withGraph(narrow(traced.graph(), dtype, narrow));
  }

  /** Traces the reading of one token more. */
  public static Traced decode(GenerativeModel model, ModelConfig config, DataType dtype) {
    Traced traced =
        trace(
            "decode",
            config,
            1,
            dtype,
            (scope, tokens, cache) ->
                model.decode(scope, config, tokens, scope.fact(POSITION), cache));
    Set<String> names = NarrowParameters.names(traced.graph(), dtype);
    return traced.withGraph(narrow(traced.graph(), dtype, names));
  }

  private static Graph narrow(Graph graph, DataType dtype, Set<String> names) {
    Graph narrow = NarrowParameters.apply(graph, dtype, names);
    return Optimize.optimize(Verifier.verify("narrow parameters", narrow));
  }

  @FunctionalInterface
  private interface Reading {
    Continuation read(Scope scope, Tensor tokens, Cache cache);
  }

  private static Traced trace(
      String name, ModelConfig config, long length, DataType dtype, Reading reading) {
    DataType parameterType = StepGraphs.parameterType(dtype);
    Shape cache =
        Shape.of(
            config.layers(), config.heads(), config.sequence(), config.hidden() / config.heads());
    var data = new LinkedHashMap<String, TensorType>();
    data.put(StepGraphs.TOKENS, TensorType.of(DataType.I64, 1, length));
    data.put(KEYS, new TensorType(parameterType, cache));
    data.put(VALUES, new TensorType(parameterType, cache));
    Traced traced =
        Trace.trace(
            name,
            parameterType,
            false,
            data,
            (Scope scope, Map<String, Tensor> batch) -> {
              Continuation result =
                  reading.read(
                      scope,
                      given(batch, StepGraphs.TOKENS),
                      new Cache(given(batch, KEYS), given(batch, VALUES)));
              return List.of(result.logits(), result.cache().keys(), result.cache().values());
            });
    // Generation runs on one device.
    return traced.withGraph(finish(Shard.erase(traced.graph()), dtype));
  }

  private static Tensor given(Map<String, Tensor> batch, String name) {
    return Objects.requireNonNull(batch.get(name), name);
  }

  /** Makes the cache state that is donated, and narrow where products are. */
  private static Graph finish(Graph traced, DataType dtype) {
    Value keys = traced.input(KEYS).orElseThrow();
    Value values = traced.input(VALUES).orElseThrow();
    var inputs = new ArrayList<Graph.Input>();
    for (Graph.Input input : traced.inputs()) {
      boolean cache = input.value() == keys || input.value() == values;
      inputs.add(cache ? new Graph.Input(input.value(), Graph.Kind.STATE) : input);
    }
    List<Value> results = traced.outputValues();
    Graph donated =
        new Graph(
            traced.name(),
            inputs,
            traced.nodes(),
            List.of(
                new Graph.Output(results.get(0), null),
                new Graph.Output(results.get(1), keys),
                new Graph.Output(results.get(2), values)));
    Graph simple = Optimize.optimize(Verifier.verify("donating the cache", donated));
    Graph mixed = MixedPrecision.apply(simple, dtype, new HashSet<>(List.of(keys, values)));
    return Optimize.optimize(Verifier.verify("mixed precision", mixed));
  }
}
