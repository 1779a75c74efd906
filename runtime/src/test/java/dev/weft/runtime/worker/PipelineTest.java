package dev.weft.runtime.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
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
import dev.weft.core.op.Constant;
import dev.weft.core.op.Tensor;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import dev.weft.engine.device.DeviceThread;
import dev.weft.engine.library.KernelException;
import dev.weft.engine.program.Literals;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.runtime.collective.DeviceFailedException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Two stages that hand micro-batches on through two slots, and one alone. */
@Timeout(30)
final class PipelineTest {
  private static final TensorType TYPE = TensorType.of(DataType.F32, 4);
  private static final int MICRO_BATCHES = 5;

  private static Buffer buffer(String name, Graph.Kind kind, int pool) {
    return new Buffer(name, TYPE, Layout.whole(1), TYPE, kind, pool);
  }

  /** Stage 0 gives y = 2 x; stage 1, fed with t = 1, adds y onto a sum, and gives z = y + t. */
  private static Program program() {
    var first = new dev.weft.core.graph.Builder("first");
    Value x = first.input("x", TYPE, Graph.Kind.DATA);
    first.output(new Tensor(first, x).times(2).value());
    var second = new dev.weft.core.graph.Builder("second");
    Value y = second.input("y", TYPE, Graph.Kind.DATA);
    Value t = second.input("t", TYPE, Graph.Kind.DATA);
    Value sum = second.input("sum", TYPE, Graph.Kind.ACCUMULATOR);
    second.output(new Tensor(second, y).plus(new Tensor(second, t)).value());
    second.output(new Tensor(second, sum).plus(new Tensor(second, y)).value(), sum);
    var firstSteps = new ArrayList<Step>();
    var secondSteps = new ArrayList<Step>();
    for (int i = 0; i < MICRO_BATCHES; i++) {
      int slot = i % 2;
      List<Integer> free = i < 2 ? List.of() : List.of(3 * (i - 2) + 1, 3 * (i - 2) + 2);
      firstSteps.add(new Step.Feed(0, slot, i, free));
      firstSteps.add(new Step.Run(0, i, List.of(slot), List.of(3 * i)));
      firstSteps.add(new Step.Send(1, slot, 1, i, List.of(3 * i + 1)));
      List<Integer> read = i < 2 ? List.of() : List.of(3 * (i - 2) + 2);
      secondSteps.add(new Step.Receive(0, slot, 0, i, read));
      secondSteps.add(new Step.Feed(0, slot, i, read));
      secondSteps.add(new Step.Run(0, i, List.of(slot, 0), List.of(3 * i, 3 * i + 1)));
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
                buffer("t", Graph.Kind.DATA, 0),
                buffer("z", Graph.Kind.DATA, 0),
                buffer("sum", Graph.Kind.ACCUMULATOR, 1)),
            List.of(
                new Fragment(
                    "f", Work.FORWARD, 0, second.build(), List.of(0, 1, 3), List.of(2, 3))),
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

  private static Optional<MemorySegment> filled(double number) {
    MemorySegment segment = Arena.ofAuto().allocate(TYPE.bytes(), 64);
    Literals.write(Literal.filled(TYPE, number), segment);
    return Optional.of(segment);
  }

  private static Optional<MemorySegment> data(Buffer buffer, int microBatch) {
    return switch (buffer.name()) {
      case "x" -> filled(10 + microBatch);
      case "t" -> filled(1);
      default -> Optional.empty();
    };
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

  /** Of stages 0 and 1, in the caller, which feeds the first micro-batch, and in other threads. */
  @ParameterizedTest
  @CsvSource({"x, 0", "x, 3", "t, 0", "t, 3"})
  void aFailureStopsAllStages(String name, int failed) {
    try (Pipeline pipeline = open()) {
      LoadedProgram program = pipeline.load(COMPILATION.of(program()));
      StepSource failing =
          (buffer, microBatch) -> {
            if (microBatch == failed && buffer.name().equals(name)) {
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
      assertTrue(pipeline.firstNonFinite(program, BAD).orElseThrow().contains("multiply"));
    }
  }

  private static final StepSource BAD =
      (buffer, _) -> buffer.name().equals("x") ? filled(Double.NaN) : Optional.empty();

  @Test
  void severalDevicesRunProgramsForTheCaller() {
    try (Pipeline pipeline = open()) {
      Thread caller = Thread.currentThread();
      assertEquals(caller, pipeline.inTurn(Thread::currentThread));
      LoadedProgram program = pipeline.load(COMPILATION.of(program()));
      Map<String, Thread> feeders = new ConcurrentHashMap<>();
      pipeline.run(program, noting(feeders), Set.of());
      for (String name : List.of("x", "t")) {
        assertEquals(caller, feeders.get(name + 0));
        for (int microBatch = 1; microBatch < MICRO_BATCHES; microBatch++) {
          Thread feeder = feeders.get(name + microBatch);
          assertTrue(feeder != null && feeder.isVirtual(), name + microBatch + " by " + feeder);
        }
      }
    }
  }

  private static StepSource noting(Map<String, Thread> feeders) {
    return (buffer, microBatch) -> {
      feeders.put(buffer.name() + microBatch, Thread.currentThread());
      return data(buffer, microBatch);
    };
  }

  /** One stage alone picks row x of a table of four, and counts what it picked. */
  private static Program alone() {
    TensorType row = TensorType.of(DataType.I64, 1);
    TensorType number = TensorType.of(DataType.F32, 1, 1);
    var pick = new dev.weft.core.graph.Builder("pick");
    Value x = pick.input("x", row, Graph.Kind.DATA);
    Value sum = pick.input("sum", number, Graph.Kind.ACCUMULATOR);
    Literal rows = Literal.of(TensorType.of(DataType.F32, 4, 1), new double[] {1, 10, 100, 1000});
    Tensor table = new Tensor(pick, pick.add(new Constant(rows), List.of()).getFirst());
    Tensor picked = table.embedding(new Tensor(pick, x));
    pick.output(picked.value());
    pick.output(new Tensor(pick, sum).plus(picked).value(), sum);
    var steps = new ArrayList<Step>();
    for (int i = 0; i < MICRO_BATCHES; i++) {
      List<Integer> free = i < 2 ? List.of() : List.of(2 * (i - 2) + 1);
      steps.add(new Step.Feed(0, i % 2, i, free));
      steps.add(new Step.Run(0, i, List.of(i % 2, 0), List.of(2 * i)));
    }
    var stage =
        new StageProgram(
            0,
            Mesh.SINGLE,
            List.of(new Pool("live", 2, false), new Pool("state", 1, true)),
            List.of(
                new Buffer("x", row, Layout.whole(1), row, Graph.Kind.DATA, 0),
                new Buffer("z", number, Layout.whole(2), number, Graph.Kind.STATE, 0),
                new Buffer("sum", number, Layout.whole(2), number, Graph.Kind.ACCUMULATOR, 1)),
            List.of(new Fragment("f", Work.FORWARD, 0, pick.build(), List.of(0, 2), List.of(1, 2))),
            steps);
    return new Program("pick", MICRO_BATCHES, List.of(stage));
  }

  private static Pipeline openOne() {
    return Pipeline.open(
        DeviceKind.CPU, List.of(Mesh.SINGLE), 1, Bytes.of(1 << 24), COMPILATION.routes());
  }

  /** The rows that micro-batches pick. */
  private static StepSource rows(long... rows) {
    return (_, microBatch) -> Optional.of(MemorySegment.ofArray(new long[] {rows[microBatch]}));
  }

  @Test
  void aDeviceAloneRunsProgramsOnItsThread() {
    try (Pipeline pipeline = openOne()) {
      LoadedProgram program = pipeline.load(COMPILATION.of(alone()));
      Set<Thread> first = ConcurrentHashMap.newKeySet();
      StepSource source =
          (buffer, microBatch) -> {
            if (microBatch == 0) {
              first.add(Thread.currentThread());
            }
            return rows(0, 1, 2, 3, 1).find(buffer, microBatch);
          };
      DeviceThread thread = pipeline.group(0).device(0).thread();
      Thread own = thread.execute(Thread::currentThread);
      List<Double> seen =
          pipeline.inTurn(
              () -> {
                assertTrue(thread.isCurrent());
                pipeline.run(program, source, Set.of());
                return pipeline.run(program, source, Set.of("z")).of("z");
              });
      assertEquals(List.of(1.0, 10.0, 100.0, 1000.0, 10.0), seen);
      assertEquals(Set.of(own), first);
      assertEquals(2242, ProgramRun.scalar(pipeline.kept(0, "sum").on(0)));
      assertEquals(seen, pipeline.run(program, source, Set.of("z")).of("z"));
    }
  }

  /** What cannot be fed was not the device's fault: the next run finds it well. */
  @ParameterizedTest
  @ValueSource(ints = {0, 3})
  void aDeviceAloneOutlivesAFeedThatFails(int failed) {
    try (Pipeline pipeline = openOne()) {
      LoadedProgram program = pipeline.load(COMPILATION.of(alone()));
      StepSource good = rows(0, 0, 0, 0, 0);
      StepSource failing =
          (buffer, microBatch) -> {
            if (microBatch == failed) {
              throw new IllegalStateException("the disk is gone");
            }
            return good.find(buffer, microBatch);
          };
      var failure =
          assertThrows(
              IllegalStateException.class,
              () -> pipeline.inTurn(() -> pipeline.run(program, failing, Set.of())));
      assertEquals("the disk is gone", failure.getMessage());
      double before = ProgramRun.scalar(pipeline.kept(0, "sum").on(0));
      assertTrue(before <= failed, before + " micro-batches, fed " + failed);
      pipeline.inTurn(() -> pipeline.run(program, good, Set.of()));
      assertEquals(before + MICRO_BATCHES, ProgramRun.scalar(pipeline.kept(0, "sum").on(0)));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3})
  void aDeviceAloneThatFailsIsNamed(int failed) {
    try (Pipeline pipeline = openOne()) {
      LoadedProgram program = pipeline.load(COMPILATION.of(alone()));
      long[] rows = new long[MICRO_BATCHES];
      rows[failed] = 77;
      var failure =
          assertThrows(
              DeviceFailedException.class,
              () -> pipeline.inTurn(() -> pipeline.run(program, rows(rows), Set.of())));
      assertTrue(failure.device().startsWith("0"), failure.device());
      assertInstanceOf(KernelException.class, failure.getCause());
      // Nobody can go on with it, on its thread or another.
      StepSource good = rows(0, 0, 0, 0, 0);
      assertThrows(
          DeviceFailedException.class,
          () -> pipeline.inTurn(() -> pipeline.run(program, good, Set.of())));
      assertThrows(DeviceFailedException.class, () -> pipeline.run(program, good, Set.of()));
    }
  }
}
