package dev.weft.core.overlap;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.Einsum;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Random local graphs of products, of which some take what is gathered and some are summed over
 * devices: any dims in any order, several axes, tiles of different lengths and empty ones, other
 * ops in between, other readers, rounds.
 */
final class RandomRings {
  /**
   * A local graph.
   *
   * @param inputs per device
   */
  record Case(Graph graph, Mesh mesh, List<List<Literal>> inputs) {}

  private final Random random;
  private final Mesh mesh;
  private final List<List<Literal>> inputs = new ArrayList<>();
  private final Map<Character, Long> sizes = new HashMap<>();
  private int named;

  private RandomRings(Random random) {
    String[] meshes = {"x=2", "x=3", "x=4", "x=5", "x=2,y=2", "x=2,y=3", "x=3,y=2"};
    this.random = random;
    this.mesh = Mesh.parse(meshes[random.nextInt(meshes.length)]);
    for (int device = 0; device < mesh.size(); device++) {
      inputs.add(new ArrayList<>());
    }
    for (char letter : "abcijkl".toCharArray()) {
      sizes.put(letter, 1L + random.nextInt(7));
    }
  }

  static Case make(Random random) {
    var made = new RandomRings(random);
    var builder = new Builder("ring");
    if (random.nextInt(4) == 0) {
      made.rounds(builder);
    } else {
      made.products(builder);
    }
    return new Case(builder.build(), made.mesh, made.inputs);
  }

  private List<MeshAxis> axes() {
    var axes = new ArrayList<>(mesh.axes());
    Collections.shuffle(axes, random);
    return axes.subList(0, 1 + random.nextInt(axes.size()));
  }

  private String shuffled(String letters) {
    var list = new ArrayList<>(letters.chars().mapToObj(c -> (char) c).toList());
    Collections.shuffle(list, random);
    var text = new StringBuilder();
    list.forEach(text::append);
    return text.toString();
  }

  private TensorType type(String letters) {
    long[] dims = letters.chars().mapToLong(c -> sizes.get((char) c)).toArray();
    return TensorType.of(DataType.F64, dims);
  }

  private Literal literal(TensorType type) {
    int elements = Math.toIntExact(type.elements());
    return Literal.of(type, random.doubles(elements, -1, 1).toArray());
  }

  /** An input that differs from device to device. */
  private Tensor input(Builder builder, TensorType type) {
    inputs.forEach(device -> device.add(literal(type)));
    return new Tensor(builder, builder.input("p" + named++, type, Graph.Kind.DATA));
  }

  /** A tensor gathered along one of its dims; padding of its tiles is poisoned. */
  private Tensor gathered(Builder builder, TensorType type) {
    int dim = random.nextInt(type.rank());
    List<MeshAxis> over = axes();
    var layout = Layout.whole(type.rank()).with(dim, over.stream().map(MeshAxis::name).toList());
    List<Literal> tiles = LockStep.scatter(literal(type), layout, mesh);
    for (int device = 0; device < inputs.size(); device++) {
      inputs.get(device).add(tiles.get(device));
    }
    Value tile = builder.input("p" + named++, tiles.getFirst().type(), Graph.Kind.DATA);
    return one(new AllGather(over, dim, type.size(dim)), new Tensor(builder, tile));
  }

  private static Tensor one(Op op, Tensor... operands) {
    return Tensor.one(op, operands);
  }

  private void products(Builder builder) {
    String shared = random.nextInt(3) == 0 ? "a" : random.nextInt(3) == 0 ? "ab" : "";
    String summed = random.nextInt(3) == 0 ? "kl" : "k";
    String left = shuffled(shared + summed + (random.nextBoolean() ? "i" : "ic"));
    String right = shuffled(shared + summed + (random.nextInt(4) == 0 ? "" : "j"));
    Tensor a = operand(builder, left);
    Tensor b = operand(builder, right);
    if (random.nextInt(4) == 0) {
      builder.output(a.tanh().value());
    }
    Tensor y = product(left, right, a, b);
    if (random.nextInt(3) == 0) {
      // A second product of the same tensor, and a sum of both.
      y = y.plus(product(left, right, a, input(builder, type(right)), y.rank(), last));
    }
    if (random.nextBoolean()) {
      y = y.times(0.5);
    }
    if (random.nextInt(3) == 0 && y.rank() > 1) {
      var order = new ArrayList<Integer>();
      for (int dim = 0; dim < y.rank(); dim++) {
        order.add(dim);
      }
      Collections.shuffle(order, random);
      y = y.transpose(order);
    }
    builder.output(reduced(y).tanh().value());
    if (random.nextInt(6) == 0) {
      builder.output(y.value());
    }
    if (random.nextInt(6) == 0) {
      builder.output(b.value());
    }
  }

  private String last = "";

  private Tensor product(String left, String right, Tensor a, Tensor b) {
    var kept = new StringBuilder();
    for (char letter : "abcij".toCharArray()) {
      if (left.indexOf(letter) >= 0 || right.indexOf(letter) >= 0) {
        kept.append(letter);
      }
    }
    last = shuffled(kept.toString());
    return one(new Einsum(left + "," + right + "->" + last), a, b);
  }

  private Tensor product(String left, String right, Tensor a, Tensor b, int rank, String result) {
    if (rank == 0) {
      throw new IllegalArgumentException("no dims");
    }
    return one(new Einsum(left + "," + right + "->" + result), a, b);
  }

  private Tensor operand(Builder builder, String letters) {
    TensorType type = type(letters);
    if (random.nextInt(3) == 0) {
      return input(builder, type);
    }
    if (random.nextInt(3) > 0) {
      return random.nextInt(3) == 0 ? gathered(builder, type).tanh() : gathered(builder, type);
    }
    // Gathered in another order of dims than it is multiplied in.
    String stored = shuffled(letters);
    return gathered(builder, type(stored))
        .transpose(letters.chars().mapToObj(stored::indexOf).toList());
  }

  private Tensor reduced(Tensor y) {
    return switch (random.nextInt(4)) {
      case 0 -> y;
      case 1 -> one(new AllReduce(axes(), Folding.SUM), y);
      default -> {
        List<MeshAxis> over = axes();
        int dim = random.nextInt(y.rank());
        yield one(new ReduceScatter(over, dim, Folding.SUM), y);
      }
    };
  }

  /** Layers whose weights are gathered and whose results are summed, in a repeat. */
  private void rounds(Builder builder) {
    int count = 2 + random.nextInt(2);
    long rows = 1 + random.nextInt(5);
    long width = 1 + random.nextInt(7);
    int dim = random.nextInt(2);
    List<MeshAxis> over = axes();
    TensorType weight = TensorType.of(DataType.F64, width, width);
    long room = Tiles.of(width, over).room();
    TensorType tile = weight.with(weight.shape().with(dim, room));
    TensorType state = TensorType.of(DataType.F64, rows, width);
    var body = new Builder("layers");
    body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.FACT);
    var x = new Tensor(body, body.input("x", state, Graph.Kind.DATA));
    var w = new Tensor(body, body.input("w", tile, Graph.Kind.DATA));
    Tensor whole = one(new AllGather(over, dim, width), w);
    if (random.nextBoolean()) {
      whole = whole.transposed();
    }
    Tensor y = x.matmul(whole);
    if (random.nextBoolean()) {
      y = one(new AllReduce(axes(), Folding.SUM), y);
    }
    body.output(y.tanh().value());
    TensorType stack = tile.with(tile.shape().insert(0, count));
    var layout = Layout.whole(3).with(dim + 1, over.stream().map(MeshAxis::name).toList());
    List<Literal> tiles =
        LockStep.scatter(literal(weight.with(weight.shape().insert(0, count))), layout, mesh);
    TensorType shape = state;
    Value start = builder.input("x", shape, Graph.Kind.DATA);
    Value stacked = builder.input("w", stack, Graph.Kind.DATA);
    for (int device = 0; device < inputs.size(); device++) {
      inputs.get(device).add(literal(shape));
      inputs.get(device).add(tiles.get(device));
    }
    var repeat = new Repeat(body.build(), count, 1, 1, random.nextBoolean());
    builder.add(repeat, List.of(start, stacked)).forEach(builder::output);
  }
}
