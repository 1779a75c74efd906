package dev.weft.engine.program;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Attention;
import dev.weft.core.op.Matmul;
import dev.weft.core.op.Tensor;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class RoutesTest {
  private static final int SIZE = 64;

  @TempDir Path directory;

  @ParameterizedTest
  @EnumSource(
      value = DataType.class,
      names = {"BF16", "F16"})
  void productsBetweenCastsEqualTheReference(DataType dtype) {
    TensorType type = TensorType.of(dtype, SIZE, SIZE);
    check(
        List.of(type, type, type),
        x ->
            List.of(
                x.get(0).matmul(x.get(1)),
                x.get(0).transposed().matmul(x.get(1).transposed()),
                // Becomes one kernel that adds to its third operand.
                x.get(2).plus(x.get(0).matmul(x.get(2)))));
  }

  @Test
  void attentionBetweenCastsEqualsTheReference() {
    TensorType type = TensorType.of(DataType.BF16, 1, SIZE, 2, SIZE);
    check(
        List.of(type, type, type),
        x ->
            Tensor.apply(
                new Attention(false, 0.125),
                x.stream().map(t -> t.transpose(List.of(0, 2, 1, 3))).toList()));
  }

  private static void check(
      List<TensorType> types, Function<List<Tensor>, List<Tensor>> expression) {
    var random = new SplittableRandom(1);
    var builder = new Builder("routes");
    var inputs = new ArrayList<Value>();
    var arguments = new ArrayList<Literal>();
    for (TensorType type : types) {
      inputs.add(builder.input("x" + inputs.size(), type, Graph.Kind.DATA));
      double[] numbers = random.doubles(type.elements(), -1, 1).toArray();
      arguments.add(Literal.of(type, numbers));
    }
    expression
        .apply(inputs.stream().map(value -> new Tensor(builder, value)).toList())
        .forEach(y -> builder.output(y.value()));
    Graph graph = builder.build();
    List<Literal> expected = Interpreter.run(graph, arguments);
    Routes routes = Routes.always(Route.WIDE);
    try (Device device = Device.open(DeviceKind.CPU, 2, Bytes.of(1 << 24), routes)) {
      var bound = new HashMap<Value, DeviceBuffer>();
      for (int i = 0; i < inputs.size(); i++) {
        DeviceBuffer buffer = device.allocate("x" + i, types.get(i));
        Literals.write(arguments.get(i), buffer.segment());
        bound.put(inputs.get(i), buffer);
      }
      Executable executable = device.load(graph, bound);
      executable.startProfile();
      executable.run();
      assertTrue(
          executable.profile().stream().anyMatch(call -> call.call().startsWith("copy")),
          "some operand was cast");
      for (int output = 0; output < expected.size(); output++) {
        Literal wanted = expected.get(output);
        Literal found = Literals.read(wanted.type(), executable.output(output).segment());
        for (int i = 0; i < wanted.elements(); i++) {
          double tolerance = 0.04 * (1 + Math.abs(wanted.asDouble(i)));
          assertEquals(wanted.asDouble(i), found.asDouble(i), tolerance, "element " + i);
        }
      }
    }
  }

  @Test
  void onlyNarrowOpsWithMuchToComputeHaveAChoice() {
    Op product = new Matmul();
    TensorType narrow = TensorType.of(DataType.BF16, SIZE, SIZE);
    TensorType wide = TensorType.of(DataType.F32, SIZE, SIZE);
    TensorType row = TensorType.of(DataType.BF16, 1, SIZE);
    assertTrue(Route.isChoice(DeviceKind.CPU, product, List.of(narrow, narrow)));
    assertTrue(!Route.isChoice(DeviceKind.CPU, product, List.of(wide, wide)));
    assertTrue(!Route.isChoice(DeviceKind.CPU, product, List.of(row, narrow)));
  }

  @Test
  void measuresOncePerMachineAndPrefersWhatARunRecorded() throws IOException {
    Op product = new Matmul();
    TensorType type = TensorType.of(DataType.BF16, SIZE, SIZE);
    List<TensorType> types = List.of(type, type);
    Routes first = Routes.measured(directory, Map.of());
    Route measured = first.choose(DeviceKind.CPU, 1, product, types);
    String key = first.used().firstKey();
    assertEquals(Map.of(key, measured), first.used());

    Path file;
    try (Stream<Path> files = Files.list(directory)) {
      file = files.toList().getFirst();
    }
    assertEquals(List.of(measured + " " + key), Files.readAllLines(file));
    Route other = measured == Route.WIDE ? Route.DIRECT : Route.WIDE;
    Files.writeString(file, other + " " + key + "\nnonsense\n");
    assertEquals(
        other, Routes.measured(directory, Map.of()).choose(DeviceKind.CPU, 1, product, types));
    Routes recorded = Routes.measured(directory, Map.of(key, measured));
    assertEquals(measured, recorded.choose(DeviceKind.CPU, 1, product, types));
    assertEquals(Map.of(key, measured), recorded.used());
  }

  @Test
  void packedStridesKeepTheOrderOfDims() {
    Shape shape = Shape.of(3, 4, 5);
    assertEquals(
        List.of(1L, 15L, 3L),
        Stream.of(new Strided(shape, new long[] {2, 40, 8}, 7).packed())
            .flatMapToLong(s -> java.util.Arrays.stream(s.strides()))
            .boxed()
            .toList());
    assertTrue(new Strided(shape, new long[] {100, 0, 20}, 0).packed().strides()[1] == 15);
  }
}
