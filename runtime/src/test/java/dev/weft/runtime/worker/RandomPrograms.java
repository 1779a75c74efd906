package dev.weft.runtime.worker;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Spec;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.AllToAll;
import dev.weft.core.collective.HaloExchange;
import dev.weft.core.collective.HaloRange;
import dev.weft.core.collective.MaskPadding;
import dev.weft.core.collective.OnFirst;
import dev.weft.core.collective.Permute;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.collective.TileSlice;
import dev.weft.core.collective.TileStart;
import dev.weft.core.collective.WindowSlice;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.ShapeException;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;

/**
 * Programs of all devices of a mesh, with collectives of all kinds between ordinary ops. What is
 * unknown among floats stays not-a-number on its way; integers are never unknown.
 */
final class RandomPrograms {
  private static final long LARGEST = 2000;

  private final Mesh mesh;
  private final Random random;
  private final Builder builder;
  private final List<Tensor> tensors = new ArrayList<>();

  private RandomPrograms(Mesh mesh, Random random, Builder builder) {
    this.mesh = mesh;
    this.random = random;
    this.builder = builder;
  }

  static Graph make(Mesh mesh, long seed) {
    var random = new Random(seed);
    var builder = new Builder("random " + seed);
    var programs = new RandomPrograms(mesh, random, builder);
    List<Value> inputs = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      TensorType type =
          i == 0
              ? TensorType.of(DataType.F32, 1 + random.nextInt(6), 1 + random.nextInt(6))
              : programs.type();
      Graph.Kind kind = random.nextBoolean() ? Graph.Kind.ACCUMULATOR : Graph.Kind.DATA;
      inputs.add(builder.input("x" + i, type, kind));
      programs.tensors.add(new Tensor(builder, inputs.getLast()));
    }
    programs.grow(3 + random.nextInt(12), true);
    programs.returnSome(inputs);
    return builder.build();
  }

  private TensorType type() {
    long[] sizes = new long[1 + random.nextInt(3)];
    for (int dim = 0; dim < sizes.length; dim++) {
      sizes[dim] = 1 + random.nextInt(6);
    }
    DataType[] types = {DataType.F32, DataType.F32, DataType.F64, DataType.I64};
    return TensorType.of(types[random.nextInt(types.length)], sizes);
  }

  private void grow(int count, boolean repeats) {
    for (int i = 0; i < count; i++) {
      Tensor x = pick();
      try {
        if (repeats && random.nextInt(6) == 0) {
          repeat(x);
          continue;
        }
        Tensor made = random.nextInt(5) < 3 ? between(x) : within(x);
        if (made.type().elements() <= LARGEST) {
          tensors.add(made);
        }
      } catch (ShapeException e) {
        // Sizes that do not fit: another op is tried.
        continue;
      }
    }
  }

  private Tensor pick() {
    // Late ones more often.
    int last = tensors.size() - 1;
    return tensors.get(Math.max(random.nextInt(last + 1), random.nextInt(last + 1)));
  }

  private void returnSome(List<Value> inputs) {
    Set<Value> donated = new HashSet<>();
    for (Tensor tensor : tensors) {
      if (random.nextInt(3) == 0 || tensor == tensors.getLast()) {
        Value donor = inputs.get(random.nextInt(inputs.size()));
        boolean fits = donor.type().equals(tensor.type()) && donated.add(donor);
        builder.output(tensor.value(), fits ? donor : null);
      }
    }
  }

  /** Rounds that carry a tensor of one type and stack what they make of it. */
  private void repeat(Tensor x) {
    Builder inner = new Builder("body");
    inner.input("round", TensorType.scalar(DataType.I64), Graph.Kind.FACT);
    var body = new RandomPrograms(mesh, random, inner);
    body.tensors.add(new Tensor(inner, inner.input("c", x.type(), Graph.Kind.DATA)));
    body.grow(1 + random.nextInt(5), false);
    Tensor carried =
        body.tensors.reversed().stream()
            .filter(t -> t.type().equals(x.type()))
            .findFirst()
            .orElseThrow();
    inner.output(carried.value());
    inner.output(body.tensors.getLast().value());
    var repeat = new Repeat(inner.build(), 1 + random.nextInt(3), 1, 0, random.nextBoolean());
    List<Value> outputs = builder.add(repeat, List.of(x.value()));
    tensors.add(new Tensor(builder, outputs.getFirst()));
    Tensor stack = new Tensor(builder, outputs.getLast());
    boolean reduce = stack.dtype().isFloat() && random.nextInt(3) > 0;
    tensors.add(reduce ? Tensor.one(reduction(stack, 1), stack).times(0.3) : stack);
  }

  private Op reduction(Tensor x, int firstDim) {
    Folding folding = Folding.values()[random.nextInt(3)];
    return x.rank() > firstDim && random.nextBoolean()
        ? new ReduceScatter(axes(), random.nextInt(firstDim, x.rank()), folding)
        : new AllReduce(axes(), folding);
  }

  private List<MeshAxis> axes() {
    var axes = new ArrayList<>(mesh.axes());
    Collections.shuffle(axes, random);
    return axes.subList(0, 1 + random.nextInt(axes.size()));
  }

  private Tensor between(Tensor x) {
    List<MeshAxis> axes = axes();
    int members = Tiles.of(1, axes).count();
    boolean known = !x.dtype().isFloat();
    int dim = random.nextInt(x.rank());
    long room = x.size(dim);
    long size = room * members - random.nextInt(members);
    Folding folding = Folding.values()[random.nextInt(3)];
    Op op =
        switch (random.nextInt(6)) {
          case 0 -> new AllReduce(axes, folding);
          case 1 -> new ReduceScatter(axes, dim, folding);
          case 2 -> new AllGather(axes, dim, size);
          case 3 -> new AllToAll(axes, random.nextInt(x.rank()), dim, size);
          case 4 -> {
            Spec from = spec(axes, x.rank());
            Spec to = spec(axes, x.rank());
            long[] sizes = x.shape().sizes();
            for (int d = 0; d < sizes.length; d++) {
              Tiles tiles = Tiles.of(1, mesh.select(from.axes(d)));
              long whole = sizes[d] * tiles.count();
              sizes[d] = Math.max(0, whole - random.nextInt(tiles.count()));
            }
            yield new Permute(axes, Shape.of(sizes), from, to);
          }
          default -> {
            long stride = 1 + random.nextInt(2);
            long window = 1 + random.nextInt(4);
            long low = random.nextLong(window + 1);
            long result = 1 + random.nextInt((int) Math.max(1, size / stride));
            var range = new HaloRange(size, result, window, stride, low, 1 + random.nextInt(2));
            yield HaloExchange.of(axes, dim, range, random.nextInt(3));
          }
        };
    if (known && !isComplete(op, x)) {
      op = new AllReduce(axes, folding == Folding.SUM ? Folding.MIN : folding);
    }
    Tensor made = Tensor.one(op, x);
    return known ? made : made.times(0.3);
  }

  private Spec spec(List<MeshAxis> axes, int rank) {
    var dims = new ArrayList<List<String>>();
    for (int dim = 0; dim < rank; dim++) {
      dims.add(new ArrayList<>());
    }
    for (MeshAxis axis : axes) {
      if (random.nextInt(4) > 0) {
        dims.get(random.nextInt(rank)).add(axis.name());
      }
    }
    return Spec.of(dims);
  }

  /** Whether every element of every result has a meaning. */
  private static boolean isComplete(Op op, Tensor x) {
    return switch (op) {
      case AllGather _, HaloExchange _ -> true;
      case ReduceScatter scatter ->
          scatter.folding() != Folding.SUM && scatter.tiles(x.type()).isEven();
      case AllToAll all -> Tiles.of(x.size(all.split()), all.axes()).isEven();
      default -> false;
    };
  }

  private Tensor within(Tensor x) {
    List<MeshAxis> axes = axes();
    int dim = random.nextInt(x.rank());
    boolean isFloat = x.dtype().isFloat();
    return switch (random.nextInt(isFloat ? 10 : 7)) {
      case 0 -> {
        List<Integer> order = new ArrayList<>();
        for (int d = 0; d < x.rank(); d++) {
          order.add(d);
        }
        Collections.shuffle(order, random);
        yield Tensor.one(new dev.weft.core.op.Transpose(order), x);
      }
      case 1 -> {
        long from = random.nextInt((int) x.size(dim));
        yield x.slice(dim, from, from + 1 + random.nextInt((int) (x.size(dim) - from)));
      }
      case 2 -> {
        Tensor other = pick();
        yield x.plus(other.type().equals(x.type()) ? other : x);
      }
      case 3 -> x.reshape(Shape.of(x.type().elements()));
      case 4 -> Tensor.one(new OnFirst(axes, 1), x);
      case 5 ->
          x.plus(
              new Tensor(
                      builder,
                      builder.add(new TileStart(axes, 5 + random.nextInt(9)), List.of()).getFirst())
                  .cast(x.dtype())
                  .times(isFloat ? 0.01 : 1)
                  .broadcast(x.shape(), List.of()));
      case 6 -> {
        var range = new HaloRange(x.size(dim), 1 + random.nextInt(6), 2, 1, 1, 1);
        yield Tensor.one(WindowSlice.of(axes, dim, range, 2, false), x);
      }
      case 7 -> Tensor.one(new TileSlice(axes, dim), x);
      case 8 -> {
        int count = Tiles.of(1, axes).count();
        yield Tensor.one(
            new MaskPadding(axes, dim, x.size(dim) * count - random.nextInt(count), 0.5), x);
      }
      default -> x.tanh();
    };
  }
}
