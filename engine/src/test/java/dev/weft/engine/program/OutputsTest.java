package dev.weft.engine.program;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Tensor;
import dev.weft.engine.collective.Collectives;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Outputs that are inputs, or take over the memory of inputs that are returned as well. */
final class OutputsTest {
  private static final TensorType TYPE = TensorType.of(DataType.F32, 2);
  private static Device device;

  @BeforeAll
  static void open() {
    device = Device.open(DeviceKind.CPU, 1, Bytes.of(1L << 20));
  }

  @AfterAll
  static void close() {
    device.close();
  }

  private interface Body {
    void build(Builder builder, Value x, Value y);
  }

  /** The outputs for x of ones and y of twos, and what x and y hold then. */
  private static double[] run(int outputs, Body body) {
    var builder = new Builder("outputs");
    Value x = builder.input("x", TYPE, Graph.Kind.STATE);
    Value y = builder.input("y", TYPE, Graph.Kind.STATE);
    body.build(builder, x, y);
    DeviceBuffer first = device.allocate("x", TYPE);
    DeviceBuffer second = device.allocate("y", TYPE);
    Literals.write(Literal.filled(TYPE, 1), first.segment());
    Literals.write(Literal.filled(TYPE, 2), second.segment());
    double[] results = new double[outputs];
    try (Executable executable = device.load(builder.build(), Map.of(x, first, y, second))) {
      executable.run();
      for (int i = 0; i < outputs; i++) {
        results[i] = Literals.read(TYPE, executable.output(i).segment()).asDouble(1);
      }
    }
    first.close();
    second.close();
    return results;
  }

  private static void check(double[] found, double... expected) {
    assertEquals(java.util.Arrays.toString(expected), java.util.Arrays.toString(found));
  }

  @Test
  void inputsMayChangePlaces() {
    check(
        run(
            2,
            (builder, x, y) -> {
              builder.output(x, y);
              builder.output(y, x);
            }),
        1,
        2);
  }

  @Test
  void whatIsReturnedIsNotOverwrittenBefore() {
    check(
        run(
            4,
            (builder, x, y) -> {
              Tensor twice = new Tensor(builder, x).times(2);
              builder.output(x);
              builder.output(twice.value(), x);
              builder.output(twice.plus(new Tensor(builder, y)).value(), y);
              builder.output(x);
            }),
        1,
        2,
        4,
        1);
  }

  @Test
  void resultsLieWhereTheyAreGivenMemoryAndOnOtherMemoryWithoutCompilingAgain() {
    var builder = new Builder("given");
    Value x = builder.input("x", TYPE, Graph.Kind.DATA);
    Value y = builder.input("y", TYPE, Graph.Kind.ACCUMULATOR);
    Tensor twice = new Tensor(builder, x).times(2);
    builder.output(twice.value());
    builder.output(twice.plus(new Tensor(builder, y)).value(), y);
    builder.output(x);
    DeviceBuffer[] first = buffers(3);
    DeviceBuffer[] second = buffers(3);
    DeviceBuffer sum = device.allocate("y", TYPE);
    Literals.write(Literal.filled(TYPE, 1), first[0].segment());
    Literals.write(Literal.filled(TYPE, 10), second[0].segment());
    long held = device.memory().current().count();
    Compiled compiled =
        Compiled.of(
            DeviceKind.CPU,
            1,
            device.routes(),
            Lowered.of(builder.build(), DeviceKind.CPU),
            Map.of(x, first[0], y, sum),
            Map.of(0, first[1], 2, first[2]));
    try (Executable executable = device.load(compiled, Map.of(), Collectives.NONE);
        Executable moved =
            device.load(
                compiled,
                Map.of(first[0], second[0], first[1], second[1], first[2], second[2]),
                Collectives.NONE)) {
      assertEquals(held, device.memory().current().count());
      executable.run();
      moved.run();
      executable.run();
      check(values(first), 1, 2, 1);
      check(values(second), 10, 20, 10);
      check(values(sum), 24);
      assertEquals(second[1], moved.output(0));
    }
    List.of(first[0], first[1], first[2], second[0], second[1], second[2], sum)
        .forEach(DeviceBuffer::close);
  }

  private static DeviceBuffer[] buffers(int count) {
    DeviceBuffer[] buffers = new DeviceBuffer[count];
    for (int i = 0; i < count; i++) {
      buffers[i] = device.allocate("b" + i, TYPE);
    }
    return buffers;
  }

  private static double[] values(DeviceBuffer... buffers) {
    return java.util.Arrays.stream(buffers)
        .mapToDouble(b -> Literals.read(TYPE, b.segment()).asDouble(0))
        .toArray();
  }
}
