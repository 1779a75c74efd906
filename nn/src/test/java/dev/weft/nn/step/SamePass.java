package dev.weft.nn.step;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.shard.Partitioned;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Two ways of devices to run one program. */
final class SamePass {
  private SamePass() {}

  /** All outputs of {@code program} are equal to 1e-10 of the largest, in f32 to 1e-5. */
  static void check(String name, Graph program, Partitioned whole, Partitioned other) {
    var random = new Random(5);
    Mesh mesh = whole.mesh();
    List<List<Literal>> inputs = new ArrayList<>();
    for (int device = 0; device < mesh.size(); device++) {
      inputs.add(new ArrayList<>());
    }
    for (int i = 0; i < program.inputs().size(); i++) {
      Literal input = literal(program.inputs().get(i).value(), random);
      List<Literal> tiles = LockStep.scatter(input, whole.inputs().get(i), mesh);
      for (int device = 0; device < mesh.size(); device++) {
        inputs.get(device).add(tiles.get(device));
      }
    }
    List<List<Literal>> expected = LockStep.run(whole.graph(), mesh, inputs);
    List<List<Literal>> found = LockStep.run(other.graph(), mesh, inputs);
    for (int i = 0; i < program.outputs().size(); i++) {
      Value output = program.outputs().get(i).value();
      double[] want = gathered(output, expected, i, whole).doubles();
      double[] have = gathered(output, found, i, whole).doubles();
      double largest = 1e-6;
      for (double each : want) {
        largest = Math.max(largest, Math.abs(each));
      }
      double accuracy = output.dtype() == DataType.F32 ? 1e-5 : 1e-10;
      for (int j = 0; j < want.length; j++) {
        assertEquals(want[j], have[j], accuracy * largest, name + ": " + output.name());
      }
    }
  }

  private static Literal gathered(
      Value output, List<List<Literal>> results, int index, Partitioned whole) {
    return LockStep.gather(
        output.type(),
        results.stream().map(device -> device.get(index)).toList(),
        whole.outputs().get(index),
        whole.mesh());
  }

  private static Literal literal(Value input, Random random) {
    TensorType type = input.type();
    int elements = Math.toIntExact(type.elements());
    return type.dtype().isFloat()
        ? Literal.of(type, random.doubles(elements, -1, 1).toArray())
        : Literal.of(type, random.longs(elements, 0, 3).toArray());
  }
}
