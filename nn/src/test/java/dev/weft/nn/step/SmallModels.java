package dev.weft.nn.step;

import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Tensor;
import dev.weft.core.stage.Balance;
import dev.weft.core.stage.CutCosts;
import dev.weft.core.stage.Cutting;
import dev.weft.core.stage.Piece;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Traced;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.Loss;
import dev.weft.nn.model.Mlp;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Resnet;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.model.Unet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;

/** Models of all kinds that plain Java runs in no time, traced with two rows a batch. */
final class SmallModels {
  static final int BATCH = 2;

  private SmallModels() {}

  /** What a model makes of its inputs and their labels. */
  @FunctionalInterface
  interface Labelled {
    Loss loss(Scope scope, Tensor inputs, Tensor labels);
  }

  /** A model of a batch of inputs of that name and {@code labels}. */
  static StepGraphs.Model labelled(String inputs, Labelled model) {
    return (scope, batch) ->
        model.loss(
            scope,
            Objects.requireNonNull(batch.get(inputs)),
            Objects.requireNonNull(batch.get("labels")));
  }

  /** The types of a batch of inputs of that name and {@code labels}. */
  static Map<String, TensorType> labelled(String name, TensorType inputs, long... labels) {
    var data = new LinkedHashMap<String, TensorType>();
    data.put(name, inputs);
    data.put("labels", TensorType.of(DataType.I64, labels));
    return data;
  }

  static Traced tokens(TokenModel model, int layers, DataType dtype) {
    var config = new ModelConfig(layers, 4, 2, 3, 5, 0.3, 4, new Experts(3, 0.7, 0.5, 1));
    return forward(StepGraphs.tokens(model, config), StepGraphs.tokens(config, BATCH), dtype);
  }

  static Traced unet() {
    TensorType images = TensorType.of(DataType.F32, BATCH, 1, 4, 8);
    return forward(
        labelled("images", new Unet(2, 2, 3)::loss),
        labelled("images", images, BATCH, 4, 8),
        DataType.F64);
  }

  static Traced resnet() {
    TensorType images = TensorType.of(DataType.F32, BATCH, 1, 4, 8);
    return forward(
        labelled("images", new Resnet(2, 3, 3)::loss),
        labelled("images", images, BATCH),
        DataType.F64);
  }

  static Traced mlp() {
    TensorType features = TensorType.of(DataType.F64, BATCH, 2);
    return forward(
        labelled("features", new Mlp(4, 6, 3)::loss),
        labelled("features", features, BATCH),
        DataType.F64);
  }

  private static Traced forward(
      StepGraphs.Model model, Map<String, TensorType> data, DataType dtype) {
    return StepGraphs.forward(model, data, dtype, UnaryOperator.identity());
  }

  /** The model in pieces of about the same work. */
  static List<Piece> pieces(Traced model, int count) {
    Cutting cutting = Cutting.of(model);
    return cutting.at(Balance.of(cutting, CutCosts.COUNTED).cut(count).starts());
  }

  /** Random data and facts for a model, by name. */
  static Map<String, Literal> batch(Traced model, long seed) {
    var random = new SplittableRandom(seed);
    var inputs = new HashMap<String, Literal>();
    for (Graph.Input input : model.graph().inputs()) {
      TensorType type = input.value().type();
      if (input.kind() != Graph.Kind.PARAMETER) {
        inputs.put(
            input.value().name(),
            type.dtype().isFloat()
                ? Literal.of(type, random.doubles(type.elements(), -2, 2).toArray())
                : Literal.of(type, random.longs(type.elements(), 0, 3).toArray()));
      }
    }
    return inputs;
  }

  /** The first value of a parameter. */
  static Literal initial(Parameter parameter) {
    return Literal.of(parameter.type(), Tensors.initial(parameter, 3));
  }
}
