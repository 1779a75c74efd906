package dev.weft.core.grad;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.ScatterAdd;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Random functions of f64[3,3] values, made of what simplification looks for: ones, zeros, repeated
 * terms, views back and forth, sums over rounds. The first output is a scalar.
 */
final class RandomAlgebra {
  private static final TensorType TYPE = TensorType.of(DataType.F64, 3, 3);

  private final Random random;
  private final Builder builder;
  private final List<Tensor> values = new ArrayList<>();

  private RandomAlgebra(Random random, Builder builder) {
    this.random = random;
    this.builder = builder;
  }

  static Graph make(long seed) {
    var random = new Random(seed);
    var graph = new RandomAlgebra(random, new Builder("random"));
    for (int i = 0; i < 3; i++) {
      graph.values.add(input(graph.builder, "x" + i));
    }
    graph.grow(4 + random.nextInt(12), 2);
    List<Tensor> values = graph.values;
    graph.builder.output(values.getLast().sum().value());
    values.subList(values.size() / 2, values.size()).forEach(t -> graph.builder.output(t.value()));
    return graph.builder.build();
  }

  private static Tensor input(Builder builder, String name) {
    return new Tensor(builder, builder.input(name, TYPE, Graph.Kind.DATA));
  }

  private Tensor pick() {
    return values.get(random.nextInt(values.size()));
  }

  private void grow(int nodes, int depth) {
    for (int i = 0; i < nodes; i++) {
      Tensor x = pick();
      switch (random.nextInt(13)) {
        case 0 -> values.add(x.plus(pick()));
        case 1 -> values.add(x.times(pick()));
        case 2 -> values.add(x.minus(pick()));
        case 3 -> values.add(x.filled(random.nextInt(2)));
        case 4 -> values.add(x.tanh());
        case 5 -> values.add(x.reshape(9).reshape(3, 3));
        case 6 -> values.add(x.transposed());
        case 7 -> values.add(x.matmul(pick()).tanh());
        case 8 -> values.add(x.scalar(1).plus(1).times(0.5).broadcast(x.shape(), List.of()));
        case 9 ->
            values.add(
                x.cast(DataType.F32).cast(DataType.F64).cast(DataType.F32).cast(DataType.F64));
        case 10 -> {
          Tensor index = Tensor.iota(builder, TYPE.with(DataType.I64), random.nextInt(2));
          values.add(Tensor.one(new ScatterAdd(0), x, index, pick()));
        }
        default -> {
          if (depth > 0) {
            repeat(depth);
          }
        }
      }
    }
  }

  /** Two carried values, one slice, one unchanging value, a stacked result. */
  private void repeat(int depth) {
    int count = 1 + random.nextInt(3);
    var body = new RandomAlgebra(random, builder.nested("body"));
    body.builder.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    for (String name : List.of("a", "b", "slice", "same")) {
      body.values.add(input(body.builder, name));
    }
    Tensor sum = body.values.getFirst();
    body.grow(1 + random.nextInt(6), depth - 1);
    Tensor first = random.nextBoolean() ? sum.plus(body.pick()) : body.pick().tanh();
    body.builder.output(first.value());
    body.builder.output(body.pick().value());
    body.builder.output(body.pick().value());
    var op = new Repeat(body.builder.build(), count, 2, 1, random.nextBoolean());
    Tensor slices =
        pick().broadcast(TYPE.shape().insert(0, count), List.of(1, 2)).times(random.nextInt(3));
    List<Value> operands = List.of(pick().value(), pick().value(), slices.value(), pick().value());
    List<Value> results = builder.add(op, operands);
    Tensor outcome = new Tensor(builder, results.getFirst());
    values.add(random.nextBoolean() ? pick().plus(outcome) : outcome);
    values.add(new Tensor(builder, results.get(1)));
    values.add(new Tensor(builder, results.get(2)).sum(List.of(0)));
  }
}
