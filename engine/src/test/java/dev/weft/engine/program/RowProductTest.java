package dev.weft.engine.program;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Embedding;
import dev.weft.core.op.LayerNorm;
import dev.weft.core.op.Tensor;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** One row times a matrix on several threads, in both layouts, against the interpreter. */
final class RowProductTest {
  private static final long K = 65;

  private static double[] random(SplittableRandom random, long count) {
    return random.doubles(count, -1, 1).toArray();
  }

  /** n of which some are no multiple of what threads take, and some leave the last one nothing. */
  @ParameterizedTest
  @CsvSource({
    "F32, 1030, false, 2",
    "F32, 1030, true, 3",
    "BF16, 2049, false, 3",
    "BF16, 2049, true, 2",
    "F64, 2080, true, 7"
  })
  void threadsTakeColumns(DataType dtype, long n, boolean byColumns, int threads) {
    var random = new SplittableRandom(n);
    TensorType matrix = TensorType.of(dtype, K, n);
    var builder = new Builder("row");
    Value x = builder.input("x", TensorType.of(dtype, 1, K), Graph.Kind.DATA);
    Value w = builder.input("w", matrix, Graph.Kind.PARAMETER);
    Value shift = builder.input("b", TensorType.of(dtype, 1, n), Graph.Kind.PARAMETER);
    Tensor product = new Tensor(builder, x).matmul(new Tensor(builder, w));
    builder.output(product.value());
    builder.output(product.times(2).matmul(new Tensor(builder, w).transposed()).value());
    builder.output(
        new Tensor(builder, x)
            .matmul(new Tensor(builder, w))
            .plus(new Tensor(builder, shift))
            .value());
    Value rows = builder.input("rows", TensorType.of(DataType.I64, 2), Graph.Kind.DATA);
    builder.output(builder.add(new Embedding(), List.of(w, rows)).getFirst());
    Graph graph = builder.build();
    Literal chosen = Literal.of(rows.type(), new long[] {64, 7});
    Literal left = Literal.of(x.type(), random(random, K));
    Literal right = Literal.of(matrix, random(random, K * n));
    Literal added = Literal.of(shift.type(), random(random, n));
    List<Literal> expected = Interpreter.run(graph, List.of(left, right, added, chosen));
    Strided layout = Strided.dense(matrix.shape());
    if (byColumns) {
      layout = new Strided(matrix.shape(), new long[] {1, K}, 0);
    }
    try (Device device = Device.open(DeviceKind.CPU, threads, Bytes.of(1L << 24))) {
      DeviceBuffer first = device.allocate("x", x.type());
      DeviceBuffer second = device.allocate("w", matrix, layout);
      DeviceBuffer third = device.allocate("b", shift.type());
      Literals.write(left, first.segment());
      Literals.write(
          byColumns
              ? Literal.of(TensorType.of(dtype, n, K), columns(right.doubles(), (int) K, (int) n))
              : right,
          second.segment());
      Literals.write(added, third.segment());
      DeviceBuffer fourth = device.allocate("rows", rows.type());
      Literals.write(chosen, fourth.segment());
      Executable executable =
          device.load(graph, Map.of(x, first, w, second, shift, third, rows, fourth));
      for (int run = 0; run < 3; run++) {
        executable.run();
        for (int i = 0; i < expected.size(); i++) {
          Literal result = expected.get(i);
          assertArrayEquals(
              result.doubles(),
              Literals.read(result.type(), executable.output(i).segment()).doubles(),
              dtype == DataType.BF16 ? (i == 1 ? 8 : 0.1) : 1e-3);
        }
      }
    }
  }

  private static double[] columns(double[] values, int rows, int columns) {
    double[] result = new double[values.length];
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        result[column * rows + row] = values[row * columns + column];
      }
    }
    return result;
  }

  /** A row's layer norm and a short sum, which run in Java. */
  @ParameterizedTest
  @CsvSource({"F32, 384", "BF16, 384", "F32, 1", "BF16, 1024", "F32, 1025"})
  void aRowIsNormalizedAndAdded(DataType dtype, long n) {
    var random = new SplittableRandom(n);
    var builder = new Builder("norm");
    Value x = builder.input("x", TensorType.of(dtype, 1, 1, n), Graph.Kind.DATA);
    Value scale = builder.input("scale", TensorType.of(DataType.F32, n), Graph.Kind.PARAMETER);
    Value shift = builder.input("shift", TensorType.of(DataType.F32, n), Graph.Kind.PARAMETER);
    List<Value> norm = builder.add(new LayerNorm(1e-5), List.of(x, scale, shift));
    norm.forEach(builder::output);
    Tensor sum = new Tensor(builder, norm.getFirst()).times(2).plus(new Tensor(builder, x));
    builder.output(sum.minus(new Tensor(builder, x).times(3)).value());
    Graph graph = builder.build();
    List<Literal> inputs =
        List.of(
            Literal.of(x.type(), random(random, n)),
            Literal.of(scale.type(), random(random, n)),
            Literal.of(shift.type(), random(random, n)));
    List<Literal> expected = Interpreter.run(graph, inputs);
    try (Device device = Device.open(DeviceKind.CPU, 2, Bytes.of(1L << 20))) {
      var bound = new HashMap<Value, DeviceBuffer>();
      for (int i = 0; i < inputs.size(); i++) {
        Value input = graph.inputValues().get(i);
        bound.put(input, device.allocate(input.name(), input.type()));
        Literals.write(inputs.get(i), bound.get(input).segment());
      }
      Executable executable = device.load(graph, bound);
      executable.run();
      for (int i = 0; i < expected.size(); i++) {
        Literal result = expected.get(i);
        assertArrayEquals(
            result.doubles(),
            Literals.read(result.type(), executable.output(i).segment()).doubles(),
            dtype == DataType.BF16 ? 0.1 : i == 2 ? 1e-2 : 1e-4);
      }
    }
  }

  @Test
  void resultsAreRowMajorAndLayoutsHaveNoGaps() {
    TensorType type = TensorType.of(DataType.F32, 2, 3);
    var builder = new Builder("copy");
    Value x = builder.input("x", type, Graph.Kind.STATE);
    builder.output(new Tensor(builder, x).times(2).value(), x);
    Graph graph = builder.build();
    try (Device device = Device.open(DeviceKind.CPU, 1, Bytes.of(1L << 20))) {
      DeviceBuffer turned =
          device.allocate("x", type, new Strided(type.shape(), new long[] {1, 2}, 0));
      assertThrows(IllegalArgumentException.class, () -> device.load(graph, Map.of(x, turned)));
      assertThrows(
          IllegalArgumentException.class,
          () -> device.allocate("x", type, new Strided(type.shape(), new long[] {4, 1}, 0)));
    }
  }
}
