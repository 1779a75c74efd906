package dev.weft.core.overlap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.CollectiveTable;
import dev.weft.core.collective.RingShift;
import dev.weft.core.grad.GradientMacro;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Node;
import dev.weft.core.interpret.LockStep;
import dev.weft.core.op.GraphText;
import dev.weft.core.shard.CollectiveUse;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import dev.weft.core.shard.RandomPrograms;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.statistics.Statistics;
import org.junit.jupiter.api.Test;

/** Collectives that are looped give what they give in one. */
class CollectiveMatmulTest {
  @Property(tries = 300)
  void productsEqualTheWhole(@ForAll long seed) {
    products(seed);
  }

  @Property(tries = 20_000)
  @Tag("nightly")
  void productsEqualTheWholeMoreOften(@ForAll long seed) {
    products(seed);
  }

  @Property(tries = 100)
  void programsEqualTheWhole(@ForAll @IntRange(min = 3, max = 12) int steps, @ForAll long seed) {
    program(steps, seed);
  }

  @Property(tries = 20_000)
  @Tag("nightly")
  void programsEqualTheWholeMoreOften(
      @ForAll @IntRange(min = 1, max = 16) int steps, @ForAll long seed) {
    program(steps, seed);
  }

  private static void products(long seed) {
    RandomRings.Case made = RandomRings.make(new Random(seed));
    check(made.graph(), CollectiveMatmul.apply(made.graph()), made.mesh(), made.inputs());
  }

  private static void program(int steps, long seed) {
    RandomPrograms.Case made = RandomPrograms.make(seed, steps);
    Partitioned whole = Partitioner.partition(made.graph(), made.mesh());
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
    Partitioned looped = CollectiveMatmul.apply(whole);
    check(whole.graph(), looped.graph(), made.mesh(), inputs);
  }

  private static void check(Graph whole, Graph looped, Mesh mesh, List<List<Literal>> inputs) {
    Statistics.collect(shifts(looped) > 0 ? "looped" : "as it was");
    assertEquals(whole.inputs(), looped.inputs());
    try {
      String text = GraphText.print(looped);
      assertEquals(text, GraphText.print(GraphText.parse(text, CollectiveTable.ALL, Map.of())));
      List<List<Literal>> expected = LockStep.run(whole, mesh, inputs);
      List<List<Literal>> found = LockStep.run(looped, mesh, inputs);
      for (int device = 0; device < mesh.size(); device++) {
        for (int i = 0; i < whole.outputs().size(); i++) {
          same(i, expected.get(device).get(i), found.get(device).get(i));
        }
      }
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError(
          "%s\non %s\n%s\nbecame\n%s"
              .formatted(e, mesh, GraphText.print(whole), GraphText.print(looped)),
          e);
    }
  }

  private static long shifts(Graph graph) {
    long shifts = 0;
    for (Node node : graph.nodes()) {
      shifts += node.op() instanceof RingShift ? 1 : 0;
      shifts += node.op().bodies().stream().mapToLong(CollectiveMatmulTest::shifts).sum();
    }
    return shifts;
  }

  /** Equal wherever what is expected has a meaning. */
  private static void same(int output, Literal expected, Literal found) {
    assertEquals(expected.type(), found.type());
    boolean floats = expected.type().dtype().isFloat();
    double largest = 1;
    for (int i = 0; floats && i < expected.elements(); i++) {
      double value = Math.abs(expected.asDouble(i));
      largest = Math.max(largest, Double.isFinite(value) ? value : 0);
    }
    for (int i = 0; i < expected.elements(); i++) {
      double want = expected.asDouble(i);
      double have = found.asDouble(i);
      boolean fits =
          floats
              ? Double.isNaN(want) || want == have || Math.abs(want - have) <= 1e-8 * largest
              : want == have;
      assertTrue(fits, "output %d at %d: expected %s, found %s".formatted(output, i, want, have));
    }
  }

  private static Partitioned looped(String text, String mesh) {
    Graph graph = GradientMacro.parse(text, "program.txt");
    return CollectiveMatmul.apply(Partitioner.partition(graph, Mesh.parse(mesh)));
  }

  private static String uses(Partitioned partitioned) {
    return partitioned.collectives().stream()
        .map(use -> use.op().kind() + " " + use.local() + " x" + use.count() + " " + use.bytes())
        .collect(Collectors.joining("\n"));
  }

  /** What a device sends are the bytes that the all-gather would send on a ring. */
  @Test
  void aGatherBecomesPermutesOfItsBytes() {
    Partitioned found =
        looped(
            """
            graph columns(%x: f32[64,16] [{d},{}], %w: f32[16,12] [{d},{}]) {
              %y = matmul(%x, %w)
              return %y : [{d},{}]
            }
            """,
            "d=4");
    assertEquals("permute f32[4,12] x3 192", uses(found));
    CollectiveUse use = found.collectives().getFirst();
    assertTrue(use.reason().contains("looped beside the products of %y"), use.reason());
    assertEquals("program.txt:2", use.source());
  }

  @Test
  void aScatteredSumBecomesPermutesOfItsBytes() {
    Partitioned found =
        looped(
            """
            graph rows(%x: f32[8,16] [{},{d}], %w: f32[16,12] [{d},{}]) {
              %y = matmul(%x, %w)
              return %y : [{d},{}]
            }
            """,
            "d=4");
    assertEquals("permute f32[2,12] x3 96", uses(found));
  }

  /** An all-reduce is a scattered sum, gathered again: as many bytes in all. */
  @Test
  void aSumBecomesPermutesAndAGather() {
    Partitioned found =
        looped(
            """
            graph rows(%x: f32[3,8,16] [{},{},{d}], %w: f32[16,12] [{d},{}]) {
              %y = matmul(%x, %w)
              %z = tanh(%y)
              return %z : [{},{},{}]
            }
            """,
            "d=4");
    assertEquals("permute f32[3,2,12] x3 288\nall-gather f32[3,2,12] x1 864", uses(found));
  }

  @Test
  void whatNothingMultipliesStaysWholeAndSaysWhy() {
    Partitioned found =
        looped(
            """
            graph add(%x: f32[64,16] [{},{}], %b: f32[64,16] [{d},{}]) {
              %y = add(%x, %b)
              return %y : [{},{}]
            }
            """,
            "d=4");
    assertEquals("all-gather f32[16,16] x1 3072", uses(found));
    String reason = found.collectives().getFirst().reason();
    assertTrue(reason.contains("not looped: it is a result"), reason);
    assertTrue(
        found.remarks().stream().anyMatch(r -> r.startsWith("collective-matmul changes nothing")),
        () -> found.remarks().toString());
  }

  /** Two products of one gathered tensor take its tiles; it is sent once. */
  @Test
  void productsShareTiles() {
    Partitioned found =
        looped(
            """
            graph shared(
                %x: f32[64,6] [{d},{}], %v: f32[8,16] [{d},{}], %w: f32[6,8] [{},{}]) {
              %a = matmul(%x, %w)
              %b = matmul(%a, %v)
              %c = einsum(%v, %a, equation="kn,mk->nm")
              return %b : [{d},{}], %c : [{},{d}]
            }
            """,
            "d=2");
    assertEquals("permute f32[4,16] x1 256", uses(found));
    String reason = found.collectives().getFirst().reason();
    assertTrue(reason.contains("%b, %c"), reason);
  }
}
