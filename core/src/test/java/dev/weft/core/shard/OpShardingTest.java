package dev.weft.core.shard;

import dev.weft.core.cluster.DimSpec;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Example;
import dev.weft.core.op.ExampleData;
import dev.weft.core.op.OpEntry;
import dev.weft.core.op.OpTable;
import dev.weft.core.op.Shard;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;

/**
 * Every op of the table, split along every dim of its inputs and outputs, one at a time and many at
 * once, over meshes that divide its sizes and that do not.
 */
class OpShardingTest {
  private static final List<Mesh> MESHES =
      List.of(Mesh.parse("x=2"), Mesh.parse("x=3"), Mesh.parse("x=2,y=2"));

  private static final List<Mesh> MORE =
      List.of(Mesh.parse("x=2"), Mesh.parse("x=3"), Mesh.parse("x=4"), Mesh.parse("x=2,y=2"));

  @TestFactory
  Stream<DynamicNode> partsMakeUpTheWhole() {
    return OpTable.ENTRIES.stream().map(entry -> container(entry, MESHES, 1));
  }

  @TestFactory
  @Tag("nightly")
  Stream<DynamicNode> partsMakeUpTheWholeMoreOften() {
    return OpTable.ENTRIES.stream().map(entry -> container(entry, MORE, 12));
  }

  private static DynamicNode container(OpEntry entry, List<Mesh> meshes, int rounds) {
    return DynamicContainer.dynamicContainer(
        entry.name(),
        entry.examples().stream()
            .map(
                example ->
                    DynamicTest.dynamicTest(
                        example.op() + " of " + example.types(),
                        () -> check(example, meshes, rounds))));
  }

  private static void check(Example example, List<Mesh> meshes, int rounds) {
    List<TensorType> outputs = example.op().infer(example.types());
    int places = 0;
    for (TensorType type : example.types()) {
      places += type.rank();
    }
    for (TensorType type : outputs) {
      places += type.rank();
    }
    var random = new Random(example.toString().hashCode());
    for (Mesh mesh : meshes) {
      for (int place = 0; place < places && mesh.axes().size() == 1; place++) {
        run(example, mesh, new OnePlace(place));
      }
      for (int i = 0; i < rounds; i++) {
        run(example, mesh, new RandomPlaces(mesh, random));
      }
    }
  }

  /** Says the spec of the next tensor. */
  private interface Annotator {
    Spec next(int rank);
  }

  /** One dim of all is split over all axes, the rest left open. */
  private static final class OnePlace implements Annotator {
    private int rest;

    OnePlace(int place) {
      this.rest = place;
    }

    @Override
    public Spec next(int rank) {
      var dims = new ArrayList<DimSpec>();
      for (int dim = 0; dim < rank; dim++) {
        dims.add(rest-- == 0 ? DimSpec.over("x") : DimSpec.OPEN);
      }
      return new Spec(dims);
    }
  }

  /** Any axes on any dims. */
  record RandomPlaces(Mesh mesh, Random random) implements Annotator {
    @Override
    public Spec next(int rank) {
      return any(mesh, random, rank);
    }

    static Spec any(Mesh mesh, Random random, int rank) {
      var axes = new ArrayList<List<String>>();
      for (int dim = 0; dim < rank; dim++) {
        axes.add(new ArrayList<>());
      }
      var open = new boolean[rank];
      for (int dim = 0; dim < rank; dim++) {
        open[dim] = random.nextInt(4) == 0;
      }
      var names = new ArrayList<>(mesh.axes().stream().map(a -> a.name()).toList());
      java.util.Collections.shuffle(names, random);
      for (String name : names) {
        if (rank > 0 && random.nextInt(3) > 0) {
          axes.get(random.nextInt(rank)).add(name);
        }
      }
      var dims = new ArrayList<DimSpec>();
      for (int dim = 0; dim < rank; dim++) {
        dims.add(
            axes.get(dim).isEmpty() && open[dim] ? DimSpec.OPEN : new DimSpec.Split(axes.get(dim)));
      }
      return new Spec(dims);
    }
  }

  private static void run(Example example, Mesh mesh, Annotator annotator) {
    var builder = new Builder("one");
    var inputs = new ArrayList<Value>();
    for (TensorType type : example.types()) {
      Value input = builder.input("x" + inputs.size(), type, Graph.Kind.DATA);
      inputs.add(builder.add(new Shard(annotator.next(type.rank())), List.of(input)).getFirst());
    }
    for (Value output : builder.add(example.op(), inputs)) {
      builder.output(
          builder.add(new Shard(annotator.next(output.type().rank())), List.of(output)).getFirst());
    }
    LockStepCheck.check(builder.build(), mesh, ExampleData.arguments(example, 7), 1e-6);
  }
}
