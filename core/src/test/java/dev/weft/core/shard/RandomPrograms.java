package dev.weft.core.shard;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.grad.Autodiff;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.ArgMax;
import dev.weft.core.op.AveragePool;
import dev.weft.core.op.Convolution;
import dev.weft.core.op.CrossEntropy;
import dev.weft.core.op.Cumsum;
import dev.weft.core.op.Gather;
import dev.weft.core.op.LayerNorm;
import dev.weft.core.op.LinearCrossEntropy;
import dev.weft.core.op.MaxPool;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.ScatterAdd;
import dev.weft.core.op.Shard;
import dev.weft.core.op.Slice;
import dev.weft.core.op.Tensor;
import dev.weft.core.op.TopK;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * Random programs with random annotations, of ops wired as models wire them: products, reductions,
 * reshapes, windows, look-ups, repeats, and gradients of a loss. The larger the number of steps,
 * the larger the program: a failure shrinks to few steps.
 */
public final class RandomPrograms {
  /** A program, what it is given, and the mesh to run it on. */
  public record Case(Graph graph, List<Literal> inputs, Mesh mesh) {}

  private static final int MOST_ELEMENTS = 400;

  private final Random random;
  private final Mesh mesh;
  private final Builder builder = new Builder("random");
  private final List<Value> inputs = new ArrayList<>();
  private final List<Tensor> floats = new ArrayList<>();
  private final List<Tensor> whole = new ArrayList<>();

  private RandomPrograms(Random random, Mesh mesh) {
    this.random = random;
    this.mesh = mesh;
  }

  public static Case make(long seed, int steps) {
    var random = new Random(seed);
    Mesh mesh = mesh(random);
    var programs = new RandomPrograms(random, mesh);
    int count = 2 + random.nextInt(2);
    for (int i = 0; i < count; i++) {
      programs.input();
    }
    for (int i = 0; i < steps; i++) {
      programs.step();
    }
    return programs.finish();
  }

  private static Mesh mesh(Random random) {
    String[] meshes = {
      "x=2", "x=3", "x=4", "x=5", "x=8", "x=2,y=2", "x=2,y=3", "x=3,y=2", "x=4,y=2", "x=2,y=2,z=2"
    };
    return Mesh.parse(meshes[random.nextInt(meshes.length)]);
  }

  private Case finish() {
    var outputs = new ArrayList<Value>();
    List<Tensor> made = floats.subList(Math.max(0, floats.size() - 3), floats.size());
    for (Tensor tensor : made) {
      outputs.add(sometimes(tensor).value());
    }
    if (!whole.isEmpty()) {
      outputs.add(whole.getLast().value());
    }
    Tensor loss = null;
    for (Tensor tensor : made) {
      Tensor part = tensor.tanh().sum();
      loss = loss == null ? part : loss.plus(part);
    }
    Value total = java.util.Objects.requireNonNull(loss).value();
    builder.output(total);
    outputs.forEach(builder::output);
    Graph forward = builder.build();
    Graph graph =
        random.nextInt(3) == 0
            ? forward
            : Autodiff.gradients(
                forward, total, inputs.stream().filter(v -> v.dtype().isFloat()).toList(), false);
    var literals = new ArrayList<Literal>();
    for (Value input : inputs) {
      literals.add(literal(input.type()));
    }
    return new Case(graph, literals, mesh);
  }

  private Literal literal(TensorType type) {
    double[] values = new double[Math.toIntExact(type.elements())];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextGaussian();
    }
    return Literal.of(type, values);
  }

  private void input() {
    int rank = 1 + random.nextInt(3);
    long[] sizes = new long[rank];
    for (int dim = 0; dim < rank; dim++) {
      sizes[dim] = 1 + random.nextInt(8);
    }
    parameter(sizes);
  }

  private Tensor parameter(long... sizes) {
    Value value =
        builder.input(
            "p" + inputs.size(), TensorType.of(DataType.F64, sizes), Graph.Kind.PARAMETER);
    inputs.add(value);
    Tensor tensor = sometimes(new Tensor(builder, value));
    floats.add(tensor);
    return tensor;
  }

  /** The tensor, with an annotation now and then. */
  private Tensor sometimes(Tensor tensor) {
    if (random.nextInt(3) > 0) {
      return tensor;
    }
    return Tensor.one(
        new Shard(OpShardingTest.RandomPlaces.any(mesh, random, tensor.rank())), tensor);
  }

  private Tensor pick() {
    return floats.get(random.nextInt(floats.size()));
  }

  private Tensor pick(int rank) {
    List<Tensor> fitting = floats.stream().filter(t -> t.rank() == rank).toList();
    if (!fitting.isEmpty()) {
      return fitting.get(random.nextInt(fitting.size()));
    }
    long[] sizes = new long[rank];
    for (int dim = 0; dim < rank; dim++) {
      sizes[dim] = 1 + random.nextInt(6);
    }
    return parameter(sizes);
  }

  private void keep(Tensor tensor) {
    if (tensor.shape().elements() <= MOST_ELEMENTS && tensor.shape().elements() > 0) {
      floats.add(sometimes(tensor));
    }
  }

  private void step() {
    Tensor x = pick();
    int dim = x.rank() == 0 ? -1 : random.nextInt(x.rank());
    switch (random.nextInt(24)) {
      case 0 -> keep(x.plus(like(x)));
      case 1 -> keep(x.times(like(x)));
      case 2 -> keep(x.tanh());
      case 3 -> keep(x.relu());
      case 4 -> {
        Tensor a = pick(2);
        keep(a.matmul(parameter(a.size(1), 1 + random.nextInt(6))));
      }
      case 5 -> {
        Tensor a = pick(3);
        keep(Tensor.einsum("abc,cbd->da", a, parameter(a.size(2), a.size(1), 3)));
      }
      case 6 -> {
        if (dim >= 0) {
          keep(x.sum(List.of(dim)));
        }
      }
      case 7 -> {
        if (dim >= 0) {
          keep(x.max(List.of(dim)));
        }
      }
      case 8 -> {
        if (dim >= 0) {
          keep(x.mean(List.of(dim)));
        }
      }
      case 9 -> {
        var order = new ArrayList<Integer>();
        for (int d = 0; d < x.rank(); d++) {
          order.add(d);
        }
        Collections.shuffle(order, random);
        keep(x.transpose(order));
      }
      case 10 -> reshape(x);
      case 11 -> slice(x);
      case 12 -> {
        if (dim >= 0) {
          long[] low = new long[x.rank()];
          long[] high = new long[x.rank()];
          low[dim] = random.nextInt(3);
          high[dim] = random.nextInt(3);
          keep(x.pad(low, high, random.nextBoolean() ? 0 : 0.5));
        }
      }
      case 13 -> {
        if (dim >= 0) {
          keep(Tensor.concat(dim, List.of(x, x.tanh())));
        }
      }
      case 14 -> {
        if (dim >= 0) {
          keep(x.softmax(dim));
        }
      }
      case 15 -> {
        if (dim >= 0) {
          long h = x.size(-1);
          keep(
              Tensor.apply(new LayerNorm(1e-3), List.of(x, parameter(h), parameter(h))).getFirst());
        }
      }
      case 16 -> {
        Tensor table = pick(2);
        Tensor ids = indices(table.size(0), 1 + random.nextInt(6));
        keep(table.embedding(ids));
      }
      case 17 -> {
        Tensor base = pick(2);
        Tensor index = indices(base.size(0), 3, base.size(1));
        keep(Tensor.one(new Gather(0), base, index));
        keep(Tensor.one(new ScatterAdd(0), base, index, parameter(3, base.size(1))));
      }
      case 18 -> {
        if (dim >= 0) {
          keep(Tensor.one(new Cumsum(dim, random.nextBoolean()), x));
        }
      }
      case 19 -> {
        if (dim >= 0) {
          long k = 1 + random.nextInt((int) Math.min(3, x.size(dim)));
          // What is equal but for rounding has no order to agree on.
          Tensor ranked = x.plus(parameter(x.shape().sizes()));
          List<Tensor> best = Tensor.apply(new TopK(dim, k), List.of(ranked));
          keep(best.get(0));
          whole.add(best.get(1));
          whole.add(Tensor.one(new ArgMax(dim), random.nextBoolean() ? ranked : ranked.relu()));
        }
      }
      case 20 -> windows();
      case 21 -> {
        Tensor logits = pick(2);
        Tensor targets = indices(logits.size(1), logits.size(0));
        keep(Tensor.one(new CrossEntropy(-1), logits, targets));
      }
      case 22 -> {
        Tensor rows = pick(2);
        Tensor weight = parameter(2 + random.nextInt(6), rows.size(1));
        Tensor targets = indices(weight.size(0), rows.size(0));
        keep(Tensor.one(new LinearCrossEntropy(2, -1), rows, weight, targets));
      }
      default -> rounds(pick(2));
    }
  }

  /** Something of the same shape, or that is repeated to it. */
  private Tensor like(Tensor x) {
    List<Tensor> same = floats.stream().filter(t -> t.shape().equals(x.shape())).toList();
    if (random.nextInt(3) == 0 && x.rank() > 0) {
      return parameter(x.size(-1));
    }
    return same.get(random.nextInt(same.size()));
  }

  private Tensor pickLike(Tensor x) {
    List<Tensor> same = floats.stream().filter(t -> t.shape().equals(x.shape())).toList();
    return same.get(random.nextInt(same.size()));
  }

  /** Whole numbers from 0 to a bound that are not data: they follow from places. */
  private Tensor indices(long bound, long... sizes) {
    TensorType type = TensorType.of(DataType.I64, sizes);
    long[] values = new long[Math.toIntExact(type.elements())];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextLong(bound);
    }
    Tensor constant =
        new Tensor(
            builder,
            builder
                .add(new dev.weft.core.op.Constant(Literal.of(type, values)), List.of())
                .getFirst());
    return sometimes(constant);
  }

  private void reshape(Tensor x) {
    long elements = x.shape().elements();
    var sizes = new ArrayList<Long>();
    if (x.rank() >= 2 && random.nextBoolean()) {
      int at = random.nextInt(x.rank() - 1);
      for (int dim = 0; dim < x.rank(); dim++) {
        if (dim == at + 1) {
          sizes.set(at, sizes.get(at) * x.size(dim));
        } else {
          sizes.add(x.size(dim));
        }
      }
    } else {
      long rest = elements;
      while (rest > 1 && sizes.size() < 3) {
        long size = 1 + random.nextInt((int) rest);
        while (rest % size != 0) {
          size--;
        }
        sizes.add(size);
        rest /= size;
      }
      if (rest > 1 || sizes.isEmpty()) {
        sizes.add(rest);
      }
    }
    keep(x.reshape(sizes.stream().mapToLong(Long::longValue).toArray()));
  }

  private void slice(Tensor x) {
    var starts = new ArrayList<Long>();
    var limits = new ArrayList<Long>();
    var strides = new ArrayList<Long>();
    for (int dim = 0; dim < x.rank(); dim++) {
      long start = random.nextLong(x.size(dim));
      starts.add(random.nextBoolean() ? 0 : start);
      limits.add(random.nextBoolean() ? x.size(dim) : Math.max(starts.getLast() + 1, start));
      strides.add(1L + random.nextInt(2));
    }
    keep(Tensor.one(new Slice(starts, limits, strides), x));
  }

  private void windows() {
    long size = 1 + random.nextInt(3);
    long stride = 1 + random.nextInt(2);
    long low = random.nextInt(2);
    long high = random.nextInt(2);
    long width = 5 + random.nextInt(8);
    Tensor x = parameter(2, 2, width, 3);
    List<Long> sizes = List.of(size, 1L);
    List<Long> strides = List.of(stride, 1L);
    List<Long> lows = List.of(low, 0L);
    List<Long> highs = List.of(high, 0L);
    long dilation = 1 + random.nextInt(2);
    keep(
        switch (random.nextInt(3)) {
          case 0 ->
              Tensor.one(
                  new Convolution(strides, lows, highs, List.of(dilation, 1L), List.of(1L, 1L)),
                  x,
                  parameter(3, 2, size, 1));
          case 1 ->
              Tensor.one(
                  new MaxPool(
                      sizes,
                      strides,
                      size > 1 ? lows : List.of(0L, 0L),
                      size > 1 ? highs : List.of(0L, 0L),
                      List.of(1L, 1L)),
                  x);
          default -> Tensor.one(new AveragePool(sizes, strides, lows, highs), x);
        });
  }

  /** A repeat that carries a tensor, cuts another into slices and stacks a result. */
  private void rounds(Tensor x) {
    int count = 2 + random.nextInt(2);
    Tensor weights = parameter(count, x.size(1), x.size(1));
    Builder body = builder.nested("body");
    body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    Tensor carried = new Tensor(body, body.input("carried", x.type(), Graph.Kind.DATA));
    Tensor sum =
        new Tensor(body, body.input("sum", TensorType.scalar(DataType.F64), Graph.Kind.DATA));
    Tensor weight =
        new Tensor(
            body,
            body.input(
                "weight", weights.type().with(Shape.of(x.size(1), x.size(1))), Graph.Kind.DATA));
    Tensor same = new Tensor(body, body.input("same", x.type(), Graph.Kind.DATA));
    Tensor next = sometimes(carried.matmul(weight).tanh().plus(same));
    body.output(next.value());
    body.output(sum.plus(next.sum()).value());
    body.output(sometimes(next.relu()).value());
    var repeat = new Repeat(body.build(), count, 2, 1, random.nextBoolean());
    List<Tensor> results =
        Tensor.apply(
            repeat, List.of(x, Tensor.constant(builder, DataType.F64, 0), weights, pickLike(x)));
    keep(results.get(0));
    keep(results.get(1));
    keep(results.get(2));
  }
}
