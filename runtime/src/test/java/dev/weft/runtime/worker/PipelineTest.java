package dev.weft.runtime.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Tensor;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import dev.weft.engine.program.Literals;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.runtime.collective.DeviceFailedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two stages that hand micro-batches on through two slots. */
@Timeout(30)
final class PipelineTest {
  private static final TensorType TYPE = TensorType.of(DataType.F32, 4);
  private static final int MICRO_BATCHES = 5;

  private static Buffer buffer(String name, Graph.Kind kind, int pool) {
    return new Buffer(name, TYPE, Layout.whole(1), TYPE, kind, pool);
  }

  /** Stage 0 gives y = 2 x; stage 1 adds it onto a sum, and gives z = y + 1. */
  private static Program program() {
    var first = new dev.weft.core.graph.Builder("first");
    Value x = first.input("x", TYPE, Graph.Kind.DATA);
    first.output(new Tensor(first, x).times(2).value());
    var second = new dev.weft.core.graph.Builder("second");
    Value y = second.input("y", TYPE, Graph.Kind.DATA);
    Value sum = second.input("sum", TYPE, Graph.Kind.ACCUMULATOR);
    second.output(new Tensor(second, y).plus(1).value());
    second.output(new Tensor(second, sum).plus(new Tensor(second, y)).value(), sum);
    var firstSteps = new ArrayList<Step>();
    var secondSteps = new ArrayList<Step>();
    for (int i = 0; i < MICRO_BATCHES; i++) {
      int slot = i % 2;
      List<Integer> free = i < 2 ? List.of() : List.of(3 * (i - 2) + 1, 3 * (i - 2) + 2);
      firstSteps.add(new Step.Feed(0, slot, i, free));
      firstSteps.add(new Step.Run(0, i, List.of(slot), List.of(3 * i)));
      firstSteps.add(new Step.Send(1, slot, 1, i, List.of(3 * i + 1)));
      List<Integer> read = i < 2 ? List.of() : List.of(2 * (i - 2) + 1);
      secondSteps.add(new Step.Receive(0, slot, 0, i, read));
      secondSteps.add(new Step.Run(0, i, List.of(slot, 0), List.of(2 * i)));
    }
    var stage0 =
        new StageProgram(
            0,
            Mesh.SINGLE,
            List.of(new Pool("live", 2, false)),
            List.of(buffer("x", Graph.Kind.DATA, 0), buffer("y", Graph.Kind.DATA, 0)),
            List.of(new Fragment("f", Work.FORWARD, 0, first.build(), List.of(0), List.of(1))),
            firstSteps);
    var stage1 =
        new StageProgram(
            1,
            Mesh.SINGLE,
            List.of(new Pool("live", 2, false), new Pool("state", 1, true)),
            List.of(
                buffer("y", Graph.Kind.DATA, 0),
                buffer("z", Graph.Kind.DATA, 0),
                buffer("sum", Graph.Kind.ACCUMULATOR, 1)),
            List.of(
                new Fragment("f", Work.FORWARD, 0, second.build(), List.of(0, 2), List.of(1, 2))),
            secondSteps);
    return new Program("train", MICRO_BATCHES, List.of(stage0, stage1));
  }

  private static final Compilation COMPILATION =
      new Compilation(DeviceKind.CPU, 1, Routes.always(Route.DIRECT), Bytes.of(1 << 12), true);

  private static Pipeline open() {
    return Pipeline.open(
        DeviceKind.CPU,
        List.of(Mesh.SINGLE, Mesh.SINGLE),
        1,
        Bytes.of(1 << 24),
        COMPILATION.routes());
  }

  private static Optional<MemorySegment> data(Buffer buffer, int microBatch) {
    if (!buffer.name().equals("x")) {
      return Optional.empty();
    }
    MemorySegment segment = Arena.ofAuto().allocate(TYPE.bytes(), 64);
    Literals.write(Literal.filled(TYPE, 10 + microBatch), segment);
    return Optional.of(segment);
  }

  @Test
  void microBatchesFlowInOrderThroughSlots() {
    try (Pipeline pipeline = open()) {
      LoadedProgram program = pipeline.load(COMPILATION.of(program()));
      for (int round = 1; round <= 20; round++) {
        var seen = pipeline.run(program, PipelineTest::data, Set.of("z"));
        assertEquals(List.of(21.0, 23.0, 25.0, 27.0, 29.0), seen.of("z"));
        ShardedBuffer sum = pipeline.kept(1, "sum");
        assertEquals(round * 120.0, ProgramRun.scalar(sum.on(0)));
      }
    }
  }

  @Test
  void aFailureStopsAllStages() {
    try (Pipeline pipeline = open()) {
      LoadedProgram program = pipeline.load(COMPILATION.of(program()));
      StepSource failing =
          (buffer, microBatch) -> {
            if (microBatch == 3) {
              throw new IllegalStateException("the disk is gone");
            }
            return data(buffer, microBatch);
          };
      RuntimeException e =
          assertThrows(RuntimeException.class, () -> pipeline.run(program, failing, Set.of()));
      assertTrue(e.getMessage().contains("the disk is gone"), e.getMessage());
      assertThrows(
          DeviceFailedException.class, () -> pipeline.run(program, PipelineTest::data, Set.of()));
    }
  }

  @Test
  void namesWhatIsNotFinite() {
    try (Pipeline pipeline = open()) {
      LoadedProgram program = pipeline.load(COMPILATION.of(program()));
      StepSource bad =
          (buffer, _) -> {
            if (!buffer.name().equals("x")) {
              return Optional.empty();
            }
            MemorySegment segment = Arena.ofAuto().allocate(TYPE.bytes(), 64);
            Literals.write(Literal.filled(TYPE, Double.NaN), segment);
            return Optional.of(segment);
          };
      assertTrue(pipeline.firstNonFinite(program, bad).orElseThrow().contains("multiply"));
    }
  }
}
