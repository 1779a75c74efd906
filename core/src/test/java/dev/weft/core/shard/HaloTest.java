package dev.weft.core.shard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.Collective.Kind;
import dev.weft.core.grad.GradientMacro;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.Assume;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

/** Windowed ops exchange halos, whatever the windows, and only what is lacking. */
class HaloTest {
  private static List<Literal> numbers(Graph graph) {
    var random = new Random(5);
    var literals = new ArrayList<Literal>();
    for (Value input : graph.inputValues()) {
      TensorType type = input.type();
      int elements = Math.toIntExact(type.elements());
      literals.add(Literal.of(type, random.doubles(elements, -1, 1).toArray()));
    }
    return literals;
  }

  /** Tiles whose windows begin at different places between two elements begin to compute early. */
  @Property(tries = 150)
  void dilatedInputsAreNotGathered(
      @ForAll @IntRange(min = 2, max = 5) int devices,
      @ForAll @IntRange(min = 3, max = 14) int size,
      @ForAll @IntRange(min = 1, max = 4) int window,
      @ForAll @IntRange(min = 1, max = 3) int stride,
      @ForAll @IntRange(min = 0, max = 2) int low,
      @ForAll @IntRange(min = 2, max = 3) int dilation) {
    int result = ((size - 1) * dilation + 1 + 2 * low - window) / stride + 1;
    Assume.that(size >= devices && result >= devices);
    Graph graph =
        GradientMacro.parse(
            """
            graph spread(%%x: f64[2,1,%d,3] [{},{},{x},{}], %%w: f64[2,1,%d,1] [{},{},{},{}]) {
              %%y = convolution(%%x, %%w, strides=[%d,1], low=[%d,0], high=[%d,0], dilations=[1,1], baseDilations=[%d,1])
              return %%y : [{},{},{x},{}]
            }
            """
                .formatted(size, window, stride, low, low, dilation),
            "spread.txt");
    Partitioned partitioned =
        LockStepCheck.check(graph, Mesh.parse("x=" + devices), numbers(graph), 1e-12);
    for (CollectiveUse use : partitioned.collectives()) {
      assertEquals(Kind.PERMUTE, use.op().kind(), use::toString);
      assertTrue(use.bytes() > 0, use::toString);
    }
  }

  @Test
  void tilesThatHaveAllTheyNeedExchangeNothing() {
    Graph graph =
        GradientMacro.parse(
            """
            graph pooled(%x: f64[2,1,8,6] [{},{},{x},{}]) {
              %y, %tap = max_pool(%x, sizes=[2,2], strides=[2,2], low=[0,0], high=[0,0], dilations=[1,1])
              %z = slice(%y, starts=[0,0,1,0], limits=[2,1,4,3], strides=[1,1,1,1])
              return %y : [{},{},{x},{}], %tap : [{},{},{x},{}], %z : [{},{},{x},{}]
            }
            """,
            "pooled.txt");
    Partitioned partitioned = LockStepCheck.check(graph, Mesh.parse("x=2"), numbers(graph), 0);
    assertEquals(1, partitioned.collectives().size(), partitioned.collectives()::toString);
    assertTrue(partitioned.collectives().getFirst().reason().contains("slice"));
  }
}
