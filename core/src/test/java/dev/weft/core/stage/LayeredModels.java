package dev.weft.core.stage;

import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.CrossEntropy;
import dev.weft.core.op.Dropout;
import dev.weft.core.op.Philox;
import dev.weft.core.op.RandomBits;
import dev.weft.core.op.Tensor;
import dev.weft.core.op.TopK;
import dev.weft.core.trace.Initializer;
import dev.weft.core.trace.Scope;
import dev.weft.core.trace.Trace;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;

/**
 * Random models of layers, repeated layers, skips over any distance, weights used in several
 * places, dropout, masks and stacks that one repeat writes and another reads. They return the sum
 * of a loss and its weight.
 */
final class LayeredModels {
  private static final long ROWS = 3;
  private static final long WIDTH = 4;

  private final Random random;
  private final Scope root;
  private final Tensor features;
  private final List<Tensor> seen = new ArrayList<>();
  private final List<Tensor> scalars = new ArrayList<>();
  private final List<Tensor> stacks = new ArrayList<>();
  private int names;

  private LayeredModels(Random random, Scope root, Tensor features) {
    this.random = random;
    this.root = root;
    this.features = features;
  }

  /** A model of about so many layers, simplified as models are before they are cut. */
  static Traced make(Random random, int steps) {
    var data = new LinkedHashMap<String, TensorType>();
    data.put("features", TensorType.of(DataType.F64, ROWS, WIDTH));
    data.put("labels", TensorType.of(DataType.I64, ROWS));
    Traced traced =
        Trace.trace(
            "model",
            DataType.F64,
            true,
            data,
            (scope, batch) ->
                new LayeredModels(random, scope, Objects.requireNonNull(batch.get("features")))
                    .outputs(steps, Objects.requireNonNull(batch.get("labels"))));
    return traced.withGraph(Optimize.optimize(traced.graph()));
  }

  private List<Tensor> outputs(int steps, Tensor labels) {
    Tensor x = features;
    seen.add(x);
    for (int i = 0; i < steps; i++) {
      x = step(x);
      seen.add(x);
    }
    Tensor loss = Tensor.one(new CrossEntropy(-1), x, labels).sum();
    for (Tensor scalar : scalars) {
      loss = loss.plus(scalar);
    }
    return List.of(loss, labels.notEqualTo(-1).cast(DataType.F32).sum());
  }

  private Tensor earlier() {
    return seen.get(random.nextInt(seen.size()));
  }

  private Scope fresh() {
    return root.at("s" + names++);
  }

  private static Tensor weight(Scope m, String name) {
    return m.parameter(name, Initializer.normal(0.7), WIDTH, WIDTH);
  }

  private static Tensor dropped(Scope m, Tensor x) {
    var bits = new RandomBits(Philox.site(m.path()), x.shape());
    return Tensor.one(
        new Dropout(0.4),
        x,
        Tensor.one(bits, m.fact("seed"), m.fact("step"), m.layer(), m.fact("row")));
  }

  private static Tensor layer(Scope m, Tensor x) {
    Tensor bias = m.parameter("bias", Initializer.uniform(-1, 1), WIDTH);
    return x.matmul(weight(m, "weight")).plus(bias).tanh();
  }

  private Tensor step(Tensor x) {
    return switch (random.nextInt(14)) {
      case 0, 1 -> layer(fresh(), x);
      case 2 -> x.plus(earlier());
      case 3 -> x.matmul(weight(root, "shared"));
      case 4 -> x.matmul(weight(root, "shared").transposed()).relu();
      case 5 -> x.matmul(weight(root, "scaled").times(3).tanh().cast(DataType.F32).cast(x.dtype()));
      case 6 -> dropped(fresh(), x);
      case 7 -> {
        Tensor mask = features.greater(0).cast(x.dtype());
        yield x.times(mask).plus(earlier().relu());
      }
      case 8 -> {
        List<Tensor> top = Tensor.apply(new TopK(1, 2), List.of(x));
        scalars.add(top.get(0).tanh().sum());
        Tensor chosen = top.get(1).cast(x.dtype()).sum(List.of(1));
        yield x.times(chosen.alongside(x, 1)).tanh();
      }
      case 9 -> {
        Tensor turned = x.transposed().reshape(2, ROWS * WIDTH / 2);
        scalars.add(turned.times(turned).sum());
        yield turned.reshape(WIDTH, ROWS).transposed().plus(x.sin());
      }
      case 10 -> stacked(x);
      case 11 -> nested(x);
      case 12 -> twice(x);
      default -> rounds(x);
    };
  }

  /** Repeated layers that know their number and read what is outside of them. */
  private Tensor rounds(Tensor x) {
    Tensor outside = earlier();
    Tensor shared = weight(root, "shared");
    return root.repeat(
        "r" + names++,
        1 + random.nextInt(4),
        x,
        (m, h) -> {
          Tensor number = m.layer().cast(h.dtype()).broadcast(h.shape(), List.of());
          return dropped(m, layer(m, h.plus(outside.matmul(shared)))).plus(number.times(0.1));
        });
  }

  /** The same layers wherever they are used. */
  private Tensor twice(Tensor x) {
    return root.repeat("again", 3, x, LayeredModels::layer);
  }

  private Tensor nested(Tensor x) {
    return root.repeat(
        "n" + names++,
        2 + random.nextInt(2),
        x,
        (m, h) -> m.repeat("inner", 2, h, (n, g) -> layer(n, g).plus(h)));
  }

  /** Rounds that write a stack, or read one that others wrote, a parameter, or a value's rows. */
  private Tensor stacked(Tensor x) {
    int count = 3;
    TensorType type = TensorType.of(DataType.F64, count, ROWS, WIDTH);
    Tensor read =
        switch (random.nextInt(stacks.isEmpty() ? 2 : 4)) {
          case 0 -> root.parameter("slopes", Initializer.normal(1), type.shape().sizes());
          case 1 -> x.matmul(weight(root, "shared")).broadcast(type.shape(), List.of(1, 2)).sin();
          default -> stacks.get(random.nextInt(stacks.size()));
        };
    Scope.Round round =
        root.repeat(
            "w" + names++,
            count,
            List.of(x),
            List.of(read),
            (m, carried, slices) -> {
              Tensor h = layer(m, carried.getFirst().plus(slices.getFirst()));
              return new Scope.Round(List.of(h), List.of(h.times(2)));
            });
    Tensor written = round.stacked().getFirst();
    if (random.nextBoolean()) {
      stacks.add(written);
    }
    if (random.nextInt(3) == 0) {
      return round.carried().getFirst().plus(written.sum(List.of(0)));
    }
    return round.carried().getFirst();
  }

  /** What the graph is given, by name. */
  static Map<String, Literal> inputs(Traced model, Random random) {
    var inputs = new HashMap<String, Literal>();
    for (Value value : model.graph().inputValues()) {
      TensorType type = value.type();
      int elements = Math.toIntExact(type.elements());
      inputs.put(
          value.name(),
          type.dtype().isFloat()
              ? Literal.of(type, random.doubles(elements, -1, 1).toArray())
              : Literal.of(type, random.longs(elements, 0, WIDTH).toArray()));
    }
    return inputs;
  }

  /** Rows of a stacked parameter. */
  static Literal rows(Literal whole, int from, int to) {
    Shape shape = whole.shape();
    int row = Math.toIntExact(shape.product(1, shape.rank()));
    return Literal.of(
        whole.type().with(shape.with(0, to - from)),
        java.util.Arrays.copyOfRange(whole.doubles(), from * row, to * row));
  }

  static long bytes(Graph graph, List<String> names) {
    return graph.inputValues().stream()
        .filter(v -> names.contains(v.name()))
        .mapToLong(v -> v.type().bytes())
        .sum();
  }
}
