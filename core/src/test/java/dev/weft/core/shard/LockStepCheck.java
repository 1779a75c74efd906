package dev.weft.core.shard;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.GraphText;
import java.util.ArrayList;
import java.util.List;

/** A partitioned graph, run in lock step, must give what one device gives. */
final class LockStepCheck {
  private LockStepCheck() {}

  static Partitioned check(Graph graph, Mesh mesh, List<Literal> inputs, double tolerance) {
    Partitioned partitioned = Partitioner.partition(graph, mesh);
    try {
      compare(graph, partitioned, inputs, tolerance);
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError(
          e.getMessage()
              + "\non mesh "
              + mesh
              + "\n"
              + GraphText.print(graph)
              + "\nbecame\n"
              + GraphText.print(partitioned.graph()),
          e);
    }
    return partitioned;
  }

  private static void compare(
      Graph graph, Partitioned partitioned, List<Literal> inputs, double tolerance) {
    Mesh mesh = partitioned.mesh();
    List<Literal> expected = Interpreter.run(graph, inputs);
    var perDevice = new ArrayList<List<Literal>>();
    for (int device = 0; device < mesh.size(); device++) {
      perDevice.add(new ArrayList<>());
    }
    for (int i = 0; i < inputs.size(); i++) {
      List<Literal> tiles = LockStep.scatter(inputs.get(i), partitioned.inputs().get(i), mesh);
      for (int device = 0; device < mesh.size(); device++) {
        perDevice.get(device).add(tiles.get(device));
      }
    }
    List<List<Literal>> results = LockStep.run(partitioned.graph(), mesh, perDevice);
    for (int i = 0; i < expected.size(); i++) {
      int index = i;
      Literal found =
          LockStep.gather(
              expected.get(i).type(),
              results.stream().map(device -> device.get(index)).toList(),
              partitioned.outputs().get(i),
              mesh);
      same("output " + i, expected.get(i), found, tolerance);
    }
  }

  private static void same(String name, Literal expected, Literal found, double tolerance) {
    if (!expected.type().dtype().isFloat()) {
      assertEquals(expected, found, name);
      return;
    }
    double largest = 1;
    for (double value : expected.doubles()) {
      if (Double.isFinite(value)) {
        largest = Math.max(largest, Math.abs(value));
      }
    }
    for (int i = 0; i < expected.elements(); i++) {
      double want = expected.doubles()[i];
      double have = found.doubles()[i];
      boolean fits =
          Double.isFinite(want)
              ? Math.abs(want - have) <= tolerance * largest
              : Double.compare(want, have) == 0;
      if (!fits) {
        throw new AssertionError(
            name
                + " of "
                + expected.type()
                + " at "
                + i
                + ": expected "
                + want
                + ", found "
                + have
                + "\nall "
                + expected
                + "\nfound "
                + found);
      }
    }
  }
}
