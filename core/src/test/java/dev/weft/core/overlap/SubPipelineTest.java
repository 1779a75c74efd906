package dev.weft.core.overlap;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.GraphText;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import dev.weft.core.shard.RandomPrograms;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.statistics.Statistics;

/** What is computed in halves is what is computed in one. */
class SubPipelineTest {
  @Property(tries = 150)
  void equalsTheWhole(
      @ForAll @IntRange(min = 3, max = 12) int steps,
      @ForAll @IntRange(min = 1, max = 3) int level,
      @ForAll long seed) {
    check(steps, Level.values()[level], seed);
  }

  @Property(tries = 20_000)
  @Tag("nightly")
  void equalsTheWholeMoreOften(
      @ForAll @IntRange(min = 1, max = 16) int steps,
      @ForAll @IntRange(min = 1, max = 3) int level,
      @ForAll long seed) {
    check(steps, Level.values()[level], seed);
  }

  private static void check(int steps, Level level, long seed) {
    RandomPrograms.Case made = RandomPrograms.make(seed, steps);
    Graph program = asData(made.graph(), seed);
    Partitioned whole = Partitioner.partition(program, made.mesh());
    Graph halves = SubPipeline.everywhere(whole.graph(), level, Rows.of(program));
    long more = nodes(halves) - nodes(whole.graph());
    Statistics.collect(level, more == 0 ? "as it was" : "in halves");
    assertEquals(whole.graph().inputs(), halves.inputs());
    try {
      List<List<Literal>> inputs = new ArrayList<>();
      for (int device = 0; device < made.mesh().size(); device++) {
        inputs.add(new ArrayList<>());
      }
      for (int i = 0; i < made.inputs().size(); i++) {
        List<Literal> tiles =
            LockStep.scatter(made.inputs().get(i), whole.inputs().get(i), made.mesh());
        for (int device = 0; device < inputs.size(); device++) {
          inputs.get(device).add(tiles.get(device));
        }
      }
      List<List<Literal>> expected = LockStep.run(whole.graph(), made.mesh(), inputs);
      List<List<Literal>> found = LockStep.run(halves, made.mesh(), inputs);
      for (int i = 0; i < expected.getFirst().size(); i++) {
        int index = i;
        Literal want =
            LockStep.gather(
                program.outputs().get(i).value().type(),
                expected.stream().map(device -> device.get(index)).toList(),
                whole.outputs().get(i),
                made.mesh());
        Literal have =
            LockStep.gather(
                want.type(),
                found.stream().map(device -> device.get(index)).toList(),
                whole.outputs().get(i),
                made.mesh());
        same(i, want, have);
      }
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError(
          e.getMessage()
              + "\n"
              + level
              + " on "
              + made.mesh()
              + "\n"
              + GraphText.print(whole.graph())
              + "\nbecame\n"
              + GraphText.print(halves),
          e);
    }
  }

  private static long nodes(Graph graph) {
    long nodes = graph.nodes().size();
    for (Node node : graph.nodes()) {
      nodes += node.op().bodies().stream().mapToLong(SubPipelineTest::nodes).sum();
    }
    return nodes;
  }

  /** One of the inputs has a batch. */
  private static Graph asData(Graph graph, long seed) {
    var inputs = new ArrayList<>(graph.inputs());
    int data = (int) Math.floorMod(seed, inputs.size());
    inputs.set(data, new Graph.Input(inputs.get(data).value(), Graph.Kind.DATA));
    return new Graph(graph.name(), inputs, graph.nodes(), graph.outputs());
  }

  private static void same(int output, Literal expected, Literal found) {
    if (!expected.type().dtype().isFloat()) {
      assertEquals(expected, found, "output " + output);
      return;
    }
    double largest = 1;
    for (double value : expected.doubles()) {
      largest = Math.max(largest, Double.isFinite(value) ? Math.abs(value) : 0);
    }
    for (int i = 0; i < expected.elements(); i++) {
      double want = expected.doubles()[i];
      double have = found.doubles()[i];
      if (Double.isFinite(want)
          ? !(Math.abs(want - have) <= 1e-8 * largest)
          : Double.compare(want, have) != 0) {
        throw new AssertionError(
            "output %d at %d: expected %s, found %s".formatted(output, i, want, have));
      }
    }
  }
}
