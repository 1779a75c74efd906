package dev.weft.core.shard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.grad.GradientMacro;
import dev.weft.core.graph.Graph;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Cases that the tests of XLA's SPMD partitioner name: which collectives, and what is left local.
 */
class PublishedCasesTest {
  /**
   * A program and what becomes of it.
   *
   * @param collectives kinds, in order, with the shapes that they are applied to
   * @param local the shape of a device's part of the result
   */
  private record Case(
      String name, String mesh, String inputs, String body, String collectives, String local) {
    Partitioned partitioned() {
      String text = "graph one(" + inputs + ") {\n" + body + "\n}\n";
      Graph graph = GradientMacro.parse(text, name);
      return Partitioner.partition(graph, Mesh.parse(mesh));
    }

    @Override
    public String toString() {
      return name;
    }
  }

  private static final List<Case> CASES =
      List.of(
          new Case(
              "rows to columns",
              "x=2",
              "%a: f32[8,2] [{x},{}]",
              "%r = relu(%a)\nreturn %r : [{},{x}]",
              "all-to-all[4,2]",
              "[8,1]"),
          new Case(
              "uneven columns to the whole",
              "x=2",
              "%a: f32[2,3] [{},{x}]",
              "%r = relu(%a)\nreturn %r : [{},{}]",
              "all-gather[2,2]",
              "[2,3]"),
          new Case(
              "transpose",
              "x=2",
              "%a: f32[16,38,38,4] [{},{x},{},{}]",
              "%r = transpose(%a, permutation=[0,3,1,2])\nreturn %r : [{},{},{x},{}]",
              "",
              "[16,4,19,38]"),
          new Case(
              "reshape",
              "x=2",
              "%a: f32[38,38,324] [{x},{},{}]",
              "%r = reshape(%a, shape=[38,38,4,81])\nreturn %r : [{x},{},{},{}]",
              "",
              "[19,38,4,81]"),
          new Case(
              "concat",
              "x=2",
              "%a: f32[14,257] [{x},{}], %b: f32[14,116] [{x},{}]",
              "%r = concat(%a, %b, dim=1)\nreturn %r : [{x},{}]",
              "",
              "[7,373]"),
          new Case(
              "pad",
              "x=2",
              "%a: f32[14,257] [{},{x}]",
              "%r = pad(%a, low=[0,0], high=[0,2], interior=[0,0], value=0.0)\n"
                  + "return %r : [{},{x}]",
              "permute[14,129]",
              "[14,130]"),
          new Case(
              "reduce over a split dim to a split result",
              "x=2",
              "%a: f32[4,32,32,128] [{},{x},{},{}]",
              "%r = sum(%a, dims=[0,1,2])\nreturn %r : [{x}]",
              "reduce-scatter[128]",
              "[64]"),
          new Case(
              "convolution",
              "x=2",
              "%a: f32[128,3,224,224] [{},{},{x},{}], %w: f32[64,3,7,7] [{},{},{},{}]",
              "%r = convolution(%a, %w, strides=[2,2], low=[3,3], high=[3,3], dilations=[1,1],"
                  + " baseDilations=[1,1])\nreturn %r : [{},{},{x},{}]",
              "permute[128,3,112,224]",
              "[128,64,56,112]"),
          new Case(
              "filter gradient",
              "x=2",
              "%a: f32[128,64,56,56] [{},{},{x},{}], %w: f32[256,64,1,1] [{},{},{},{}],"
                  + " %u: f32[128,256,56,56] [{},{},{x},{}]",
              "%c = convolution(%a, %w, strides=[1,1], low=[0,0], high=[0,0], dilations=[1,1],"
                  + " baseDilations=[1,1])\n%p = multiply(%c, %u)\n"
                  + "%l = sum(%p, dims=[0,1,2,3])\n%g = gradient(%l, %w)\n"
                  + "return %g : [{},{},{},{}]",
              "all-reduce[256,64,1,1]",
              "[256,64,1,1]"),
          new Case(
              "sort of a whole dim",
              "x=2",
              "%a: f32[128,14,257] [{},{x},{}]",
              "%r, %i = sort(%a, dim=2, descending=false)\nreturn %r : [{},{x},{}]",
              "",
              "[128,7,257]"),
          new Case(
              "rows of a split table",
              "x=2",
              "%t: f32[17,9] [{x},{}], %i: i64[2,3] [{},{}]",
              "%r = embedding(%t, %i)\nreturn %r : [{},{},{}]",
              "all-reduce[2,3,9]",
              "[2,3,9]"),
          new Case(
              "product over a split dim",
              "x=2",
              "%a: f32[128,64] [{},{x}], %b: f32[64,256] [{x},{}]",
              "%r = matmul(%a, %b)\nreturn %r : [{},{}]",
              "all-reduce[128,256]",
              "[128,256]"),
          new Case(
              "product over a split dim to columns",
              "x=2",
              "%a: f32[128,64] [{},{x}], %b: f32[64,256] [{x},{}]",
              "%r = matmul(%a, %b)\nreturn %r : [{},{x}]",
              "reduce-scatter[128,256]",
              "[128,128]"),
          new Case(
              "a further axis",
              "x=2,y=2,z=2",
              "%a: f32[8,16] [{x},{y}]",
              "%r = relu(%a)\nreturn %r : [{x},{y,z}]",
              "",
              "[4,4]"),
          new Case(
              "an axis to another dim",
              "x=2,y=2,z=2",
              "%a: f32[8,16] [{x,z},{y}]",
              "%r = relu(%a)\nreturn %r : [{x},{y,z}]",
              "all-to-all[2,8]",
              "[4,4]"));

  @ParameterizedTest
  @FieldSource("CASES")
  void insertsWhatIsPublished(Case one) {
    Partitioned partitioned = one.partitioned();
    String found =
        partitioned.collectives().stream()
            .map(use -> use.op().kind() + "" + use.local().shape())
            .collect(Collectors.joining(" "));
    assertEquals(one.collectives(), found, partitioned.collectives()::toString);
    assertEquals(
        one.local(), partitioned.graph().outputValues().getFirst().type().shape().toString());
  }

  /** Windows that reach over two neighbours: nothing but rows to the right, no more than needed. */
  @ParameterizedTest
  @FieldSource("WINDOWS")
  void windowsThatReachOverTwoNeighbours(Case one) {
    Partitioned partitioned = one.partitioned();
    for (CollectiveUse use : partitioned.collectives()) {
      assertEquals("permute", use.op().kind().toString());
    }
    // Two rows from the neighbour and one from the one before that, of two numbers each.
    assertTrue(partitioned.bytesPerDevice() <= 3 * 2 * 4, partitioned.collectives()::toString);
    assertEquals(
        one.local(), partitioned.graph().outputValues().getFirst().type().shape().toString());
  }

  private static final List<Case> WINDOWS =
      List.of(
          new Case(
              "maxima",
              "x=5",
              "%a: f32[2,9] [{},{x}]",
              "%r, %i = max_pool(%a, sizes=[4], strides=[2], low=[3], high=[0], dilations=[1])\n"
                  + "return %r : [{},{x}]",
              "",
              "[2,1]"),
          new Case(
              "means",
              "x=5",
              "%a: f32[2,9] [{},{x}]",
              "%r = average_pool(%a, sizes=[4], strides=[2], low=[3], high=[0])\n"
                  + "return %r : [{},{x}]",
              "",
              "[2,1]"));
}
