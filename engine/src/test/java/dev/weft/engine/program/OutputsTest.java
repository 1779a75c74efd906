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
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
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
}
