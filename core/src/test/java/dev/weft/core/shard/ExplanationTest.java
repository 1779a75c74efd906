package dev.weft.core.shard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.grad.GradientMacro;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Role;
import dev.weft.core.programs.Program;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

class ExplanationTest {
  private static final List<Program> PROGRAMS = Program.ALL;

  private static Explanation explain(String text, String mesh) {
    Graph graph = GradientMacro.parse(text, "small.txt");
    return Explanation.of(graph, Partitioner.partition(graph, Mesh.parse(mesh)));
  }

  private static String value(Explanation explanation, String name) {
    return explanation.values().stream()
        .filter(v -> v.name().equals(name))
        .map(v -> v.spec() + " " + v.from())
        .findFirst()
        .orElse("missing");
  }

  private static CollectiveUse use(Explanation explanation, String value) {
    return explanation.collectives().stream()
        .filter(use -> use.value().equals(value))
        .findFirst()
        .orElseThrow(() -> new AssertionError(value + ": " + explanation.collectives()));
  }

  private static final String FEED_FORWARD =
      """
      graph forward(%x: f32[64,16] [{data},{}], %v: f32[16,32] [{},{model}] parameter,
          %w: f32[32,16] [{model},{}] parameter) {
        %h = matmul(%x, %v) : f32[64,32]
        %a = relu(%h) : f32[64,32] [{data},{model}]
        %o = matmul(%a, %w)
        %m = mean(%x, dims=[1])
        %l = mean(%a, dims=[0,1])
        %g = gradient(%l, %v)
        return %o : [{data},{}], %m, %l, %g : [{},{model}]
      }
      """;

  @Test
  void valuesStandUnderTheNamesThatWereWritten() {
    Explanation explanation = explain(FEED_FORWARD, "data=2,model=4");
    assertEquals("[{data},{}] annotation at small.txt:1", value(explanation, "%x"));
    assertEquals("[{},{model}] annotation at small.txt:1", value(explanation, "%v"));
    assertTrue(value(explanation, "%h").startsWith("[{data},{model}] "));
    assertEquals("[{data},{model}] annotation at small.txt:4", value(explanation, "%a"));
    assertEquals("[{data},{}] annotation at small.txt:9", value(explanation, "%o"));
    assertTrue(value(explanation, "%m").startsWith("[{data}] "), value(explanation, "%m"));
    assertEquals("[] nothing splits it", value(explanation, "%l"));
    assertEquals("[{},{model}] annotation at small.txt:9", value(explanation, "%g"));
    var names = new HashSet<String>();
    for (Explanation.SplitValue value : explanation.values()) {
      assertTrue(names.add(value.name()), value.name());
      assertFalse((value.name() + value.from()).matches(".*\\.(sharded|returned).*"), value::name);
    }
  }

  @Test
  void collectivesSayWhatTheyMoveAndWhy() {
    Explanation explanation = explain(FEED_FORWARD, "data=2,model=4");
    assertEquals(3, explanation.collectives().size());
    CollectiveUse product = use(explanation, "o");
    assertEquals(Collective.Kind.ALL_REDUCE, product.op().kind());
    assertEquals("[model=4]", product.op().axes().toString());
    assertEquals("small.txt:5", product.source());
    assertEquals(Role.FORWARD, product.role());
    assertEquals("f32[32,16]", product.local().toString());
    assertEquals("f32[64,16]", product.global().toString());
    assertEquals(2 * 3 * (32 * 16 * 4) / 4, product.bytes());
    CollectiveUse loss = use(explanation, "l");
    assertEquals("[data=2, model=4]", loss.op().axes().toString());
    assertEquals(Role.FORWARD, loss.role());
    assertEquals("small.txt:7", loss.source());
    assertEquals(7, loss.bytes());
    CollectiveUse gradient = use(explanation, "g");
    assertEquals("[data=2]", gradient.op().axes().toString());
    assertEquals("f32[16,8]", gradient.local().toString());
    assertEquals("f32[16,32]", gradient.global().toString());
    assertEquals(Role.WEIGHT_GRADIENT, gradient.role());
    assertEquals(512, gradient.bytes());
    assertEquals(
        new Explanation.Total(3, 3072 + 7 + 512),
        explanation.totals().get(Collective.Kind.ALL_REDUCE));
    assertEquals(3591, explanation.bytesPerDevice());
  }

  @Test
  void roundsOfRepeatsCount() {
    Explanation explanation =
        explain(
            """
            graph layers(%x: f32[8,16] [{},{model}], %w: f32[3,16,16] [{},{},{model}] parameter) {
              %y = repeat(%x, %w, body=graph layer(%i: i64[], %x: f32[8,16], %w: f32[16,16]) {
                %z = matmul(%x, %w) : f32[8,16]
                return %z
              }, count=3, carried=1, stacked=1, reverse=false) : f32[8,16]
              return %y : [{},{model}]
            }
            """,
            "model=2");
    long times = explanation.collectives().stream().mapToLong(CollectiveUse::count).sum();
    assertEquals(3, times);
    assertEquals(3, explanation.collectives().getFirst().count());
    assertEquals(3 * explanation.collectives().getFirst().bytes(), explanation.bytesPerDevice());
    assertEquals("small.txt:3", explanation.collectives().getFirst().source());
    assertEquals("[{},{model}] annotation at small.txt:1", value(explanation, "%x"));
    assertTrue(value(explanation, "%layer/x").startsWith("[{},{model}] "));
  }

  @ParameterizedTest
  @FieldSource("PROGRAMS")
  void everyCollectiveResolvesToAFileAndLine(Program program) {
    Graph graph = program.graph();
    Partitioned partitioned = Partitioner.partition(graph, program.mesh());
    Explanation explanation = Explanation.of(graph, partitioned);
    var names = new HashSet<String>();
    explanation.values().forEach(value -> names.add(value.name()));
    for (CollectiveUse use : explanation.collectives()) {
      assertTrue(use.source().matches("\\w+\\.txt:[0-9]+"), use::toString);
      assertTrue(names.contains("%" + use.value()), use::toString);
      assertFalse(use.reason().isEmpty(), use::toString);
    }
    assertEquals(partitioned.bytesPerDevice(), explanation.bytesPerDevice());
    assertEquals(
        explanation.bytesPerDevice(),
        explanation.totals().values().stream().mapToLong(Explanation.Total::bytes).sum());
  }

  @Test
  void onlyWhatANodeNeedsWholeThoughItIsSplitIsRemarkedOn() {
    String needed =
        """
        graph forward(%x: f32[2049,2048] [{data},{}]) {
          %y = reshape(%x, shape=[2048,2049])
          return %y
        }
        """;
    List<String> remarks = explain(needed, "data=2").remarks();
    assertEquals(1, remarks.size(), remarks::toString);
    assertTrue(remarks.getFirst().contains("%x, f32[2049,2048], 16,785,408 bytes"));
    assertTrue(remarks.getFirst().contains("small.txt:2"), remarks::toString);
    assertEquals(List.of(), explain(needed.replace("2049", "1024"), "data=2").remarks());
    // Whole because its annotation says so, and whole because a gradient is summed.
    String asked =
        """
        graph forward(%x: f32[2049,2048] [{data},{}], %w: f32[2048,2049] parameter) {
          %y = matmul(%x, %w) : f32[2049,2049] [{data},{}]
          %l = mean(%y, dims=[0,1])
          %g = gradient(%l, %w)
          %z = relu(%x) : f32[2049,2048] [{},{}]
          return %g : [{},{}], %z
        }
        """;
    Explanation explanation = explain(asked, "data=2");
    assertEquals(List.of(), explanation.remarks());
    assertFalse(explanation.collectives().isEmpty());
  }

  @Test
  void passesMultiplyAndProgramsAdd() {
    Graph graph = GradientMacro.parse(FEED_FORWARD, "small.txt");
    Partitioned partitioned = Partitioner.partition(graph, Mesh.parse("data=2,model=4"));
    Explanation once = Explanation.of(graph, partitioned);
    Explanation thrice = Explanation.of(graph, partitioned, 2).and(once);
    assertEquals(3 * once.bytesPerDevice(), thrice.bytesPerDevice());
    assertEquals(once.values(), thrice.values());
    assertEquals(once.collectives().size(), thrice.collectives().size());
  }

  @Test
  void meshesThatDoNotGoWithAnnotationsAreRefused() {
    Graph graph = GradientMacro.parse(FEED_FORWARD, "small.txt");
    String lacking =
        assertThrows(UserException.class, () -> MeshCheck.requireKnown(graph, Mesh.parse("data=2")))
            .getMessage();
    assertTrue(lacking.contains("%v at small.txt:1 names mesh axis model"), lacking);
    Mesh more = Mesh.parse("data=2,model=2,pipe=1");
    String unused =
        assertThrows(
                UserException.class, () -> MeshCheck.requireUsed(more, MeshCheck.axesInUse(graph)))
            .getMessage();
    assertTrue(unused.contains("mesh axis pipe"), unused);
    assertTrue(unused.contains("data, model"), unused);
    assertThrows(UserException.class, () -> Mesh.parse("x=99999,y=99999"));
    assertThrows(UserException.class, () -> Mesh.parse("x=2,x=2"));
  }
}
