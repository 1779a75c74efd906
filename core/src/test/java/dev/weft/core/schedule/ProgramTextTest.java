package dev.weft.core.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.cluster.Folding;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.GraphTextException;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Program;
import dev.weft.core.program.ProgramText;
import dev.weft.core.program.ProgramVerifier;
import dev.weft.core.program.StageProgram;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class ProgramTextTest {
  private static final String GOLDEN =
      """
      program train micro-batches=2 {
        stage 0 {
          pool kept slots=1 kept
          pool feed..F slots=1
          pool feed..B slots=2
          pool F..send slots=2
          pool receive..B slots=1
          buffer %x: f64[3] data in feed..F
          buffer %seed: f64[] fact in feed..B
          buffer %h0: f64[3] state in F..send
          buffer %r0: f64[3] state in feed..B
          buffer %h0.grad.1: f64[3] state in receive..B
          buffer %w0: f64[3] parameter in kept
          buffer %w0.sum: f64[3] accumulator in kept
          fragment forward forward chunk=0 reads (%x, %seed, %w0) writes (%h0, %r0)
            graph forward(%x: f64[3], %seed: f64[] fact, %w0: f64[3] parameter) {
              %seeds = broadcast(%seed, shape=[3], dims=[]) : f64[3]
              %r0 = multiply(%x, %seeds) : f64[3]
              %h0 = multiply(%r0, %w0) : f64[3]
              return %h0, %r0
            }
      """;

  /** What graphs print alike is alike. */
  private static void readsBack(Program program) {
    String text = ProgramText.print(program);
    Program read = ProgramText.parse(text);
    assertEquals(text, ProgramText.print(read));
    assertEquals(program.stages().size(), read.stages().size());
    for (int i = 0; i < program.stages().size(); i++) {
      StageProgram expected = program.stages().get(i);
      StageProgram found = read.stages().get(i);
      assertEquals(expected.mesh(), found.mesh());
      assertEquals(expected.pools(), found.pools());
      assertEquals(expected.buffers(), found.buffers());
      assertEquals(expected.steps(), found.steps());
      for (int f = 0; f < expected.fragments().size(); f++) {
        assertEquals(expected.fragments().get(f).inputs(), found.fragments().get(f).inputs());
        assertEquals(expected.fragments().get(f).outputs(), found.fragments().get(f).outputs());
        assertEquals(expected.fragments().get(f).work(), found.fragments().get(f).work());
      }
    }
    ProgramVerifier.verify(read);
  }

  @Property(tries = 25)
  void readsBackToTheSameProgram(@ForAll @LongRange(min = 0) long seed) {
    RandomPrograms random = RandomPrograms.of(seed);
    readsBack(random.program());
    random.check(ProgramText.parse(ProgramText.print(random.program())), seed);
  }

  @Test
  void looksAsDescribed() {
    Program program =
        Assembly.of(
                HandMade.chain(2).graphs(),
                Orders.oneForwardOneBackward(2, 2, false),
                HandMade.DATA)
            .program("train");
    readsBack(program);
    String text = ProgramText.print(program);
    assertEquals(GOLDEN, text.substring(0, GOLDEN.length()));
    String steps = text.substring(text.indexOf("    step 0"), text.indexOf("  }\n  stage 1"));
    assertEquals(
        """
            step 0: run clear once
            step 1: feed feed..F slot=0 batch=0
            step 2: feed feed..B slot=0 batch=0
            step 3: run forward batch=0 after (2)
            step 4: send %h0 slot=0 to=1 batch=0 after (3)
            step 5: feed feed..F slot=0 batch=1 after (3)
            step 6: feed feed..B slot=1 batch=1
            step 7: run forward batch=1 in (feed..B=1, F..send=1) after (6)
            step 8: send %h0 slot=1 to=1 batch=1 after (7)
            step 9: receive %h0.grad.1 slot=0 from=1 batch=0
            step 10: run backward batch=0 after (9)
            step 11: receive %h0.grad.1 slot=0 from=1 batch=1 after (10)
            step 12: run backward batch=1 in (feed..B=1) after (11)
        """,
        steps);
  }

  @Test
  void layoutsAreWritten() {
    var type = TensorType.of(DataType.F32, 8, 4);
    var layout = new Layout(List.of(List.of("x", "y"), List.of()), Map.of("z", Folding.SUM));
    var buffer =
        new Buffer("a name", type, layout, TensorType.of(DataType.F32, 2, 4), Graph.Kind.STATE, 0);
    var stage =
        new StageProgram(
            0,
            Mesh.parse("x=2,y=2,z=3"),
            List.of(new dev.weft.core.program.Pool("kept", 1, true)),
            List.of(buffer),
            List.of(),
            List.of());
    String text = ProgramText.print(new Program("p", 1, List.of(stage)));
    assertEquals(
        """
        program p micro-batches=1 {
          stage 0 mesh (x=2,y=2,z=3) {
            pool kept slots=1 kept
            buffer %"a name": f32[8,4] [{x,y},{}] partial (z=sum) local f32[2,4] state in kept
          }
        }
        """,
        text);
    assertEquals(stage, ProgramText.parse(text).stages().getFirst());
  }

  @Test
  void errorsSayWhere() {
    String text =
        """
        program p micro-batches=1 {
          stage 0 {
            pool live slots=2
            buffer %left: f64[3] state in live
            step 0: send %lefd slot=0 to=1 batch=0
          }
        }
        """;
    var error = assertThrows(GraphTextException.class, () -> ProgramText.parse(text));
    assertEquals(5, error.line());
    assertEquals(
        "line 5, column 18: no buffer %lefd; did you mean 'left'?",
        String.valueOf(error.getMessage()).lines().findFirst().orElseThrow());
  }
}
