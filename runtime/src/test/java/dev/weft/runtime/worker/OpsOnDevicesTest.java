package dev.weft.runtime.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.DimSpec;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Example;
import dev.weft.core.op.ExampleData;
import dev.weft.core.op.GraphText;
import dev.weft.core.op.OpTable;
import dev.weft.core.op.Shard;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Ops of the table, split in random ways, on devices: they give what the interpreter gives of the
 * whole. A sample of the interpreter's own test of every dim of every op.
 */
final class OpsOnDevicesTest {
  @ParameterizedTest
  @ValueSource(strings = {"x=2", "x=4"})
  void partsMakeUpTheWhole(String mesh) {
    check(Mesh.parse(mesh), 1);
  }

  @Tag("nightly")
  @ParameterizedTest
  @ValueSource(strings = {"x=2", "x=3", "x=4", "x=2,y=2", "x=3,y=2"})
  void partsMakeUpTheWholeMoreOften(String mesh) {
    check(Mesh.parse(mesh), 12);
  }

  private static void check(Mesh mesh, int rounds) {
    var random = new Random(mesh.toString().hashCode());
    try (DeviceGroup group = DeviceGroup.open(DeviceKind.CPU, mesh, 1, Bytes.of(1L << 28))) {
      OpTable.ENTRIES.forEach(
          entry -> {
            for (Example example : entry.examples()) {
              for (int round = 0; round < rounds; round++) {
                check(group, mesh, split(example, mesh, random), example);
              }
            }
          });
    }
  }

  /** An example with axes on any dims of its inputs and outputs. */
  private static Graph split(Example example, Mesh mesh, Random random) {
    var builder = new Builder("one");
    var inputs = new ArrayList<Value>();
    for (TensorType type : example.types()) {
      Value input = builder.input("x" + inputs.size(), type, Graph.Kind.DATA);
      inputs.add(marked(builder, input, mesh, random));
    }
    for (Value output : builder.add(example.op(), inputs)) {
      builder.output(marked(builder, output, mesh, random));
    }
    return builder.build();
  }

  private static Value marked(Builder builder, Value value, Mesh mesh, Random random) {
    int rank = value.type().rank();
    var axes = new ArrayList<List<String>>();
    for (int dim = 0; dim < rank; dim++) {
      axes.add(new ArrayList<>());
    }
    mesh.axes()
        .forEach(
            axis -> {
              if (rank > 0 && random.nextInt(4) > 0) {
                axes.get(random.nextInt(rank)).add(axis.name());
              }
            });
    var dims = new ArrayList<DimSpec>();
    for (List<String> each : axes) {
      dims.add(each.isEmpty() ? DimSpec.OPEN : new DimSpec.Split(each));
    }
    return builder.add(new Shard(new Spec(dims)), List.of(value)).getFirst();
  }

  private static void check(DeviceGroup group, Mesh mesh, Graph graph, Example example) {
    List<Literal> inputs = ExampleData.arguments(example, 7);
    List<Literal> expected = Interpreter.run(graph, inputs);
    Partitioned local = Partitioner.partition(graph, mesh);
    try {
      List<Literal> found = OnDevices.run(group, graph, local, inputs);
      for (int i = 0; i < expected.size(); i++) {
        same(expected.get(i), found.get(i));
      }
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError(
          "%s\non %s\n%s\nbecame\n%s"
              .formatted(e, mesh, GraphText.print(graph), GraphText.print(local.graph())),
          e);
    }
  }

  private static void same(Literal expected, Literal found) {
    if (!expected.type().dtype().isFloat()) {
      assertEquals(expected, found);
      return;
    }
    double largest = 1;
    for (int i = 0; i < expected.elements(); i++) {
      double value = Math.abs(expected.asDouble(i));
      largest = Math.max(largest, Double.isFinite(value) ? value : 0);
    }
    for (int i = 0; i < expected.elements(); i++) {
      double want = expected.asDouble(i);
      double have = found.asDouble(i);
      if (Double.isFinite(want)
          ? !(Math.abs(want - have) <= 2e-5 * largest)
          : Double.compare(want, have) != 0) {
        throw new AssertionError("at %d: expected %s, found %s".formatted(i, want, have));
      }
    }
  }
}
