package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Executable;
import dev.weft.engine.program.Literals;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.GenerativeModel;
import dev.weft.nn.model.Gpt;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.model.Moe;
import dev.weft.nn.step.GenerationGraphs;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tokens one after another by loops of Weft's own and by the library. */
class DecodingTest {
  private static final int TOKENS = 20;

  private static double[] turned(double[] values, long rows, long columns) {
    double[] result = new double[values.length];
    for (int i = 0; i < result.length; i++) {
      result[i] = values[(int) (i % rows * columns + i / rows)];
    }
    return result;
  }

  private static double[] random(Value value) {
    var random = new SplittableRandom(value.name().hashCode());
    double[] values = random.doubles(value.type().elements(), -0.2, 0.2).toArray();
    if (value.name().contains("ln_") && value.name().endsWith("weight")) {
      for (int i = 0; i < values.length; i++) {
        values[i] += 1;
      }
    }
    return values;
  }

  /** Writes numbers so as a matrix lies, of a stack each by itself. */
  private static void write(double[] values, DeviceBuffer buffer) {
    TensorType type = buffer.type();
    double[] lying = values;
    if (!buffer.layout().isContiguous()) {
      int each = (int) (type.size(-1) * type.size(-2));
      lying = new double[values.length];
      for (int from = 0; from < values.length; from += each) {
        double[] matrix = java.util.Arrays.copyOfRange(values, from, from + each);
        System.arraycopy(turned(matrix, type.size(-2), type.size(-1)), 0, lying, from, each);
      }
    }
    Literals.write(Literal.of(type, lying), buffer.segment());
  }

  /** The logits behind each token of a text. */
  private static List<double[]> logits(Graph graph, Routes routes) {
    try (Device device = Device.open(DeviceKind.CPU, 2, Bytes.of(1L << 28), routes)) {
      Map<Value, DeviceBuffer> bound = new HashMap<>();
      var named = new HashMap<String, DeviceBuffer>();
      for (Graph.Input input : graph.inputs()) {
        Value value = input.value();
        boolean parameter = input.kind() == Graph.Kind.PARAMETER;
        Strided layout =
            parameter
                ? RowProducts.layout(graph, value, routes.loops(value.dtype()))
                : Strided.dense(value.type().shape());
        DeviceBuffer buffer = device.allocate(value.name(), value.type(), layout);
        if (parameter) {
          write(random(value), buffer);
        }
        bound.put(value, buffer);
        named.put(value.name(), buffer);
      }
      var all = new ArrayList<double[]>();
      Executable executable = device.load(graph, bound);
      for (int place = 0; place < TOKENS; place++) {
        named.get("tokens").segment().set(ValueLayout.JAVA_LONG, 0, place * 37L % 300);
        named.get("position").segment().set(ValueLayout.JAVA_LONG, 0, place);
        executable.run();
        DeviceBuffer output = executable.output(0);
        all.add(Literals.read(output.type(), output.segment()).doubles());
      }
      return all;
    }
  }

  @ParameterizedTest
  @CsvSource({"F32, false", "F32, true", "BF16, false"})
  void loopsAndTheLibraryGiveTheSameLogits(DataType dtype, boolean experts) {
    var config =
        experts
            ? new ModelConfig(2, 48, 3, TOKENS, 300, 0, 4, new Experts(3, 1, 0, 1))
            : new ModelConfig(3, 88, 4, TOKENS, 530, 0);
    GenerativeModel model = experts ? new Moe() : new Gpt();
    Graph graph = GenerationGraphs.decode(model, config, dtype).graph();
    Routes library = Routes.always(Route.DIRECT);
    List<double[]> before = logits(graph, library);
    List<double[]> now = logits(graph, library.withLoops());
    double error = dtype == DataType.F32 ? 1e-4 : 0.15;
    for (int place = 0; place < TOKENS; place++) {
      assertArrayEquals(before.get(place), now.get(place), error, "place " + place);
    }
  }
}
