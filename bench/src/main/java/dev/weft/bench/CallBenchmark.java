package dev.weft.bench;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Exp;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.library.Argument;
import dev.weft.engine.library.PreparedCall;
import dev.weft.engine.library.Result;
import dev.weft.engine.library.TensorHandle;
import dev.weft.engine.program.Executable;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * What a kernel call costs from Java: kernels on so few numbers that nothing but the call is left.
 * The library's own part, a boxed call with two handles copied and one deleted, is in it.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {"--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC"})
public class CallBenchmark {
  private static final int CALLS = 1000;
  private static final TensorType TYPE = TensorType.of(DataType.F32, 8);

  private final Device device;
  private final DeviceBuffer buffer;
  private final Executable program;
  private final Arena arena;
  private final TensorHandle tensor;
  private final PreparedCall call;

  /** A program of many calls, and one call by itself. */
  public CallBenchmark() {
    device = Device.open(DeviceKind.CPU, 1, Bytes.parse("64MiB"));
    buffer = device.allocate("x", TYPE);
    var builder = new Builder("calls");
    Value x = builder.input("x", TYPE, Graph.Kind.DATA);
    Value value = x;
    for (int i = 0; i < CALLS; i++) {
      value = builder.add(new Exp(), List.of(value)).getFirst();
    }
    builder.output(value);
    program = device.load(builder.build(), Map.of(x, buffer));
    if (program.calls() != CALLS) {
      throw new IllegalStateException(program.calls() + " calls");
    }
    arena = Arena.ofShared();
    tensor =
        TensorHandle.view(
            buffer.address(), DataType.F32, new long[] {8}, new long[] {1}, DeviceKind.CPU, 0);
    call =
        PreparedCall.dispatcher(
            arena,
            "aten::exp",
            "out",
            List.of(new Argument.Tensor(tensor), new Argument.Tensor(tensor)),
            List.of(Result.discard()));
  }

  /** A call of a compiled program, one of a thousand. */
  @Benchmark
  @OperationsPerInvocation(CALLS)
  public void ofAProgram() {
    program.run();
  }

  /** A prepared call by itself. */
  @Benchmark
  public void prepared() {
    call.invoke();
  }

  @TearDown
  public void close() {
    tensor.close();
    arena.close();
    program.close();
    buffer.close();
    device.close();
  }

  /** Runs the benchmark, and counts what it allocates. */
  public static void main(String[] arguments) throws RunnerException {
    new Runner(
            new OptionsBuilder()
                .include(CallBenchmark.class.getName())
                .addProfiler(GCProfiler.class)
                .build())
        .run();
  }
}
