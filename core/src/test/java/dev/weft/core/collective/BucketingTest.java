package dev.weft.core.collective;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.Repeat;
import dev.weft.core.op.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

final class BucketingTest {
  private static final Mesh MESH = Mesh.parse("a=2,b=2");
  private static final List<MeshAxis> A = MESH.select(List.of("a"));
  private static final List<MeshAxis> B = MESH.select(List.of("b"));
  private static final TensorType TYPE = TensorType.of(DataType.F32, 4, 3);

  /** Random reductions, some of stacks, some read at once and some never. */
  @Property(tries = 150)
  void everyDeviceGetsTheSameBits(@ForAll long seed) {
    var random = new Random(seed);
    Graph graph = random(random);
    List<List<Literal>> inputs = new ArrayList<>();
    for (int device = 0; device < MESH.size(); device++) {
      inputs.add(List.of(Literal.of(TYPE, random.doubles(12, -1, 1).toArray())));
    }
    List<List<Literal>> expected = LockStep.run(graph, MESH, inputs);
    long limit = 1 + random.nextInt(400);
    Graph bucketed = Bucketing.apply(graph, Bytes.of(limit));
    assertEquals(expected, LockStep.run(bucketed, MESH, inputs), "seed " + seed);
    for (Node node : nodes(bucketed)) {
      if (node.op() instanceof Bucket) {
        assertTrue(node.inputTypes().stream().mapToLong(TensorType::bytes).sum() <= limit);
      }
    }
  }

  private static Graph random(Random random) {
    var builder = new Builder("program");
    var tensors = new ArrayList<Tensor>();
    tensors.add(new Tensor(builder, builder.input("x", TYPE, Graph.Kind.DATA)));
    for (int i = 0; i < 12; i++) {
      Tensor x = tensors.get(random.nextInt(tensors.size()));
      if (random.nextInt(4) == 0) {
        Builder body = builder.nested("body");
        body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.FACT);
        Tensor carried = new Tensor(body, body.input("c", x.type(), Graph.Kind.DATA));
        Tensor other = carried.times(0.5);
        body.output(other.value());
        int stacks = 1 + random.nextInt(3);
        for (int s = 0; s < stacks; s++) {
          Tensor part = random.nextInt(3) == 0 ? reduce(random, other, 0) : other.times(s + 2);
          body.output((random.nextInt(5) == 0 ? carried : part).value());
        }
        var op = new Repeat(body.build(), 1 + random.nextInt(3), 1, 0, random.nextBoolean());
        List<Value> outputs = builder.add(op, List.of(x.value()));
        tensors.add(new Tensor(builder, outputs.getFirst()));
        for (Value stack : outputs.subList(1, outputs.size())) {
          Tensor reduced = reduce(random, new Tensor(builder, stack), 1);
          tensors.add(random.nextBoolean() ? reduced : reduce(random, reduced, 1));
        }
      } else {
        tensors.add(random.nextInt(3) == 0 ? x.times(0.7) : reduce(random, x, 0));
      }
    }
    for (Tensor tensor : tensors) {
      if (random.nextInt(3) == 0) {
        builder.output(tensor.value());
      }
    }
    builder.output(tensors.getLast().value());
    return builder.build();
  }

  private static Tensor reduce(Random random, Tensor x, int firstDim) {
    List<MeshAxis> axes = random.nextInt(3) == 0 ? B : A;
    List<Integer> even = new ArrayList<>();
    for (int dim = firstDim; dim < x.rank(); dim++) {
      if (x.size(dim) % 2 == 0) {
        even.add(dim);
      }
    }
    return !even.isEmpty() && random.nextBoolean()
        ? Tensor.one(new ReduceScatter(axes, even.get(random.nextInt(even.size())), Folding.SUM), x)
        : Tensor.one(new AllReduce(axes, Folding.SUM), x);
  }

  private static List<Node> nodes(Graph graph) {
    var nodes = new ArrayList<Node>();
    for (Node node : graph.nodes()) {
      nodes.add(node);
      node.op().bodies().forEach(body -> nodes.addAll(nodes(body)));
    }
    return nodes;
  }

  /** 48 bytes each: two fit into a bucket of 100; the one that is read is a bucket by itself. */
  @Test
  void whatFollowsIsOneCollectiveUpToTheLimit() {
    var builder = new Builder("program");
    Tensor x = new Tensor(builder, builder.input("x", TYPE, Graph.Kind.DATA));
    for (int i = 0; i < 3; i++) {
      builder.output(Tensor.one(new AllReduce(A, Folding.SUM), x.times(2 + i)).value());
    }
    Tensor read = Tensor.one(new AllReduce(A, Folding.SUM), x.times(7));
    builder.output(Tensor.one(new ReduceScatter(A, 0, Folding.SUM), read.tanh()).value());
    builder.output(Tensor.one(new AllReduce(B, Folding.SUM), x.times(8)).value());
    Graph graph = Bucketing.apply(builder.build(), Bytes.of(100));
    List<Integer> sizes =
        graph.nodes().stream()
            .filter(n -> n.op() instanceof Collective)
            .map(n -> n.inputs().size())
            .toList();
    assertEquals(List.of(2, 2, 1, 1), sizes);
    // It begins right behind what makes its last part.
    Node first = graph.nodes().stream().filter(n -> n.op() instanceof Bucket).findFirst().get();
    Node before = graph.nodes().get(graph.nodes().indexOf(first) - 1);
    assertEquals(first.input(1), before.output(0));
  }

  @Test
  void stacksAreReducedByRoundsUnlessThatIsTooLittle() {
    var builder = new Builder("program");
    Value x = builder.input("x", TYPE, Graph.Kind.DATA);
    Builder body = builder.nested("body");
    body.input("round", TensorType.scalar(DataType.I64), Graph.Kind.FACT);
    Tensor carried = new Tensor(body, body.input("c", TYPE, Graph.Kind.DATA));
    body.output(carried.tanh().value());
    body.output(carried.times(2).value());
    body.output(carried.times(3).value());
    List<Value> outputs = builder.add(new Repeat(body.build(), 5, 1, 0, false), List.of(x));
    Tensor a = new Tensor(builder, outputs.get(1));
    Tensor b = new Tensor(builder, outputs.get(2));
    builder.output(Tensor.one(new AllReduce(A, Folding.SUM), a).value());
    builder.output(Tensor.one(new ReduceScatter(A, 1, Folding.SUM), b).value());
    Graph graph = builder.build();
    Graph rounds = Bucketing.apply(graph, Bytes.of(16 * 2 * 48));
    assertEquals(1, rounds.nodes().size());
    Graph inner = ((Repeat) rounds.nodes().getFirst().op()).body();
    assertEquals(
        new Bucket(A, Folding.SUM, List.of(Bucket.WHOLE, 0)), inner.nodes().getLast().op());
    Graph together = Bucketing.apply(graph, Bytes.of(16 * 2 * 49));
    assertEquals(
        new Bucket(A, Folding.SUM, List.of(Bucket.WHOLE, 1)), together.nodes().getLast().op());
  }
}
