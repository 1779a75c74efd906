package dev.weft.core.collective;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

final class SpecializationTest {
  private static final Mesh MESH = Mesh.parse("a=2,b=3");
  private static final List<MeshAxis> A = MESH.select(List.of("a"));
  private static final List<MeshAxis> BA = MESH.select(List.of("b", "a"));

  /** Random ops that ask for coordinates, in a repeat too, against the interpreter of all. */
  @Property(tries = 150)
  void everyDeviceComputesWhatItDoesInLockStep(@ForAll long seed) {
    var random = new Random(seed);
    var builder = new Builder("program");
    int size = 1 + random.nextInt(9);
    Tensor x = input(builder, "x", size, 3);
    Tensor made = coordinated(builder, random, x);
    builder.output(made.value());
    builder.output(coordinated(builder, random, x).value());
    var body = new Builder("body");
    body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.FACT);
    Tensor carried = new Tensor(body, body.input("c", x.type(), Graph.Kind.DATA));
    body.output(carried.times(0.5).value());
    body.output(coordinated(body, random, carried).value());
    builder
        .add(new Repeat(body.build(), 2, 1, 0, random.nextBoolean()), List.of(x.value()))
        .forEach(builder::output);
    Graph graph = builder.build();

    List<List<Literal>> inputs = new ArrayList<>();
    for (int device = 0; device < MESH.size(); device++) {
      double[] numbers = random.doubles(x.type().elements(), -1, 1).toArray();
      inputs.add(List.of(Literal.of(x.type(), numbers)));
    }
    List<List<Literal>> expected = LockStep.run(graph, MESH, inputs);
    for (int device = 0; device < MESH.size(); device++) {
      Graph own = Specialization.on(graph, MESH, device);
      assertTrue(nodes(own).stream().noneMatch(node -> node.op() instanceof Coordinated));
      assertEquals(expected.get(device), Interpreter.run(own, inputs.get(device)), "seed " + seed);
    }
  }

  private static Tensor coordinated(Builder builder, Random random, Tensor x) {
    List<MeshAxis> axes = random.nextBoolean() ? A : BA;
    return switch (random.nextInt(5)) {
      case 0 ->
          x.plus(
              new Tensor(
                      builder,
                      builder.add(new TileStart(axes, 1 + random.nextInt(9)), List.of()).getFirst())
                  .cast(DataType.F32)
                  .broadcast(x.shape(), List.of()));
      case 1 -> Tensor.one(new TileSlice(axes, 0), x);
      case 2 -> {
        long window = 1 + random.nextInt(3);
        long low = random.nextInt(3) - 1;
        long stride = 1 + random.nextInt(2);
        long result = 1 + random.nextInt(8);
        var range = new HaloRange(x.size(0), result, window, stride, low, 1);
        yield Tensor.one(WindowSlice.of(axes, 0, range, 7, false), x);
      }
      case 3 -> {
        long size = x.size(0) * Tiles.of(1, axes).count() - random.nextInt((int) x.size(0));
        boolean fits = Tiles.of(size, axes).room() == x.size(0);
        yield fits ? Tensor.one(new MaskPadding(axes, 0, size, -3), x) : x.negate();
      }
      default -> Tensor.one(new OnFirst(axes, -1), x);
    };
  }

  @Test
  void whatIsHandedThroughIsGone() {
    var builder = new Builder("program");
    Tensor x = input(builder, "x", 4, 3);
    List<MeshAxis> one = List.of(new MeshAxis("c", 1));
    Tensor whole = Tensor.one(new AllReduce(one, Folding.SUM), Tensor.one(new OnFirst(A, 0), x));
    builder.output(Tensor.one(new AllGather(one, 0, 4), whole).times(2).value());
    Graph first = Specialization.on(builder.build(), MESH, 0);
    assertEquals(List.of("constant", "broadcast", "multiply"), names(first));
    assertEquals(x.value(), first.nodes().getLast().input(0));
  }

  @Test
  void aHaloOfOneDeviceIsASliceWithPadding() {
    var builder = new Builder("program");
    Tensor x = input(builder, "x", 4, 3);
    var range = new HaloRange(4, 4, 3, 1, 1, 1);
    builder.output(
        Tensor.one(HaloExchange.of(List.of(new MeshAxis("c", 1)), 0, range, 0), x).value());
    assertEquals(List.of("pad"), names(Specialization.on(builder.build(), MESH, 0)));
  }

  /** Even where a device does not read what its group computes, it must take part. */
  @Test
  void collectivesStayInTheirOrder() {
    var builder = new Builder("program");
    Tensor x = input(builder, "x", 4, 3);
    Tensor sum = Tensor.one(new AllReduce(A, Folding.SUM), x);
    builder.output(Tensor.one(new OnFirst(A, 0), sum).value());
    builder.output(Tensor.one(new AllReduce(A, Folding.MAX), x).value());
    for (int device = 0; device < MESH.size(); device++) {
      List<String> names = new ArrayList<>(names(Specialization.on(builder.build(), MESH, device)));
      names.removeIf(name -> !name.equals("all_reduce"));
      assertEquals(Collections.nCopies(2, "all_reduce"), names);
    }
  }

  private static Tensor input(Builder builder, String name, long... sizes) {
    Value value = builder.input(name, TensorType.of(DataType.F32, sizes), Graph.Kind.DATA);
    return new Tensor(builder, value);
  }

  private static List<String> names(Graph graph) {
    return graph.nodes().stream().map(node -> node.op().name()).toList();
  }

  private static List<Node> nodes(Graph graph) {
    var all = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      all.add(node);
      node.op().bodies().forEach(body -> all.addAll(nodes(body)));
    }
    return all;
  }
}
