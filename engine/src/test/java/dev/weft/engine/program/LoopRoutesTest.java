package dev.weft.engine.program;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

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
import dev.weft.core.op.CachedAttention;
import dev.weft.core.op.DynamicUpdateSlice;
import dev.weft.core.op.Gelu;
import dev.weft.core.op.Tensor;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A token's products and attention on a device that was opened to decode. */
final class LoopRoutesTest {
  /** What a graph is run on. */
  private record Run(Graph graph, Map<Value, Literal> inputs, Map<Value, Strided> layouts) {}

  /**
   * A layer's attention as a token has it: a product with something added, whose columns are head
   * by head those of query, key and value; the cache; the result times another matrix.
   */
  private static Run layer(DataType dtype, long heads, long places, long size, long position) {
    var random = new SplittableRandom(heads + places + size);
    long hidden = heads * size;
    var builder = new Builder("layer");
    Tensor x = input(builder, "x", TensorType.of(dtype, 1, 1, hidden), Graph.Kind.DATA);
    Tensor w = input(builder, "w", TensorType.of(dtype, hidden, 3 * hidden), Graph.Kind.PARAMETER);
    Tensor b = input(builder, "b", TensorType.of(dtype, 3 * hidden), Graph.Kind.PARAMETER);
    Tensor out = input(builder, "out", TensorType.of(dtype, 77, hidden), Graph.Kind.PARAMETER);
    TensorType cache = TensorType.of(dtype, heads, places, size);
    Tensor keys = input(builder, "keys", cache, Graph.Kind.STATE);
    Tensor values = input(builder, "values", cache, Graph.Kind.STATE);
    Tensor place = input(builder, "position", TensorType.scalar(DataType.I64), Graph.Kind.DATA);
    Tensor qkv = x.matmul(w).plus(b).rearrange("b s (h three d) -> three b h s d", heads, 3);
    var write = new DynamicUpdateSlice(1);
    Tensor allKeys = Tensor.one(write, keys, qkv.at(1).at(0), place);
    Tensor allValues = Tensor.one(write, values, qkv.at(2).at(0), place);
    var attention = new CachedAttention(1 / Math.sqrt(size));
    Tensor made = Tensor.one(attention, qkv.at(0).at(0), allKeys, allValues, place);
    Tensor joined =
        made.gelu(Gelu.Form.TANH).reshape(1, heads, 1, size).rearrange("b h s d -> b s (h d)");
    builder.output(joined.reshape(1, hidden).matmul(out.transposed()).value());
    builder.output(allKeys.value(), keys.value());
    builder.output(allValues.value(), values.value());
    Graph graph = builder.build();
    var literals = new HashMap<Value, Literal>();
    for (Value value : graph.inputValues()) {
      literals.put(
          value,
          value.type().dtype() == DataType.I64
              ? Literal.of(value.type(), new long[] {position})
              : Literal.of(
                  value.type(), random.doubles(value.type().elements(), -0.5, 0.5).toArray()));
    }
    var columns = new Strided(w.shape(), new long[] {1, hidden}, 0);
    return new Run(graph, literals, Map.of(w.value(), columns));
  }

  private static Tensor input(Builder builder, String name, TensorType type, Graph.Kind kind) {
    return new Tensor(builder, builder.input(name, type, kind));
  }

  /** The results, twice, as the second run must find the program as the first left it. */
  private static List<double[]> results(Device device, Run run, List<String> kernels) {
    var bound = new HashMap<Value, DeviceBuffer>();
    run.inputs()
        .forEach(
            (value, literal) -> {
              Strided layout =
                  run.layouts().getOrDefault(value, Strided.dense(value.type().shape()));
              DeviceBuffer buffer = device.allocate(value.name(), value.type(), layout);
              Literals.write(layout.isContiguous() ? literal : turned(literal), buffer.segment());
              bound.put(value, buffer);
            });
    try (Executable executable = device.load(run.graph(), bound)) {
      executable.startProfile();
      executable.run();
      executable.run();
      executable.profile().forEach(call -> kernels.add(call.call()));
      var results = new ArrayList<double[]>();
      for (int i = 0; i < run.graph().outputs().size(); i++) {
        TensorType type = run.graph().outputValues().get(i).type();
        results.add(Literals.read(type, executable.output(i).segment()).doubles());
      }
      return results;
    } finally {
      bound.values().forEach(DeviceBuffer::close);
    }
  }

  private static Literal turned(Literal matrix) {
    int rows = (int) matrix.type().size(0);
    int columns = (int) matrix.type().size(1);
    double[] result = new double[rows * columns];
    for (int i = 0; i < result.length; i++) {
      result[i] = matrix.doubles()[i % rows * columns + i / rows];
    }
    return Literal.of(TensorType.of(matrix.type().dtype(), columns, rows), result);
  }

  private static Device open(int threads) {
    Routes routes = Routes.always(Route.DIRECT).withLoops();
    return Device.open(DeviceKind.CPU, threads, Bytes.of(1L << 26), routes);
  }

  @ParameterizedTest
  @CsvSource({
    "F32, 2, 5, 3, 4, 1",
    "F32, 6, 70, 32, 0, 2",
    "F32, 5, 67, 33, 66, 3",
    "BF16, 6, 70, 64, 69, 2",
    "BF16, 1, 19, 35, 18, 2",
    "BF16, 7, 256, 40, 100, 3",
    "F64, 2, 5, 4, 3, 2"
  })
  void aLayerEqualsTheReference(
      DataType dtype, long heads, long places, long size, long position, int threads) {
    Run run = layer(dtype, heads, places, size, position);
    List<Literal> expected =
        Interpreter.run(
            run.graph(), run.graph().inputValues().stream().map(run.inputs()::get).toList());
    var kernels = new ArrayList<String>();
    try (Device device = open(threads)) {
      List<double[]> found = results(device, run, kernels);
      for (int i = 0; i < found.size(); i++) {
        double error = dtype == DataType.BF16 ? 0.02 * Math.sqrt(heads * size) / 4 : 1e-4;
        assertArrayEquals(expected.get(i).doubles(), found.get(i), error);
      }
    }
    boolean loops = dtype != DataType.F64;
    assertEquals(loops ? 2 : 0, count(kernels, "row product"));
    assertEquals(loops ? 1 : 0, count(kernels, "cached attention"));
    assertEquals(loops ? 1 : 0, count(kernels, "gelu of a row"));
    assertEquals(loops ? 0 : 4, count(kernels, "mm"));
  }

  private static long count(List<String> kernels, String name) {
    return kernels.stream().filter(kernel -> kernel.contains(name)).count();
  }

  /** A device for training: its numbers must not depend on how Java was started. */
  @Test
  void noLoopRunsUnlessAskedFor() {
    var kernels = new ArrayList<String>();
    try (Device device = Device.open(DeviceKind.CPU, 2, Bytes.of(1L << 24))) {
      results(device, layer(DataType.F32, 2, 8, 8, 3), kernels);
    }
    assertEquals(0, count(kernels, "row product") + count(kernels, "cached attention"));
    assertEquals(4, count(kernels, "mm"));
  }

  /** Prints how a layer is computed, and its first result. */
  static void main() {
    var kernels = new ArrayList<String>();
    try (Device device = open(2)) {
      List<double[]> results = results(device, layer(DataType.F32, 2, 8, 8, 3), kernels);
      System.out.println(
          count(kernels, "row product")
              + " "
              + count(kernels, "cached attention")
              + " "
              + results.getFirst()[0]);
    }
  }

  /** As of who uses Weft as a dependency and asks for no modules. */
  @Test
  void withoutTheModuleTheLibraryDoesTheWork() throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                System.getProperty("java.class.path"),
                LoopRoutesTest.class.getName())
            .redirectErrorStream(true)
            .start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), text);
    String[] words = text.lines().collect(Collectors.joining(" ")).split(" ");
    assertEquals("0 0", words[0] + " " + words[1], text);
    try (Device device = open(2)) {
      double here =
          results(device, layer(DataType.F32, 2, 8, 8, 3), new ArrayList<>()).getFirst()[0];
      assertEquals(here, Double.parseDouble(words[2]), 1e-5);
    }
  }
}
