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
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Add;
import dev.weft.core.op.Example;
import dev.weft.core.op.ExampleData;
import dev.weft.core.op.OpTable;
import dev.weft.core.op.Subtract;
import dev.weft.core.op.Tensor;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.library.TensorHandle;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Every op of the table on the device against the interpreter. */
final class KernelConformanceTest {
  private static final double TOLERANCE = 2e-5;
  private static Device device;
  private static long handlesBefore;

  @BeforeAll
  static void open() {
    handlesBefore = TensorHandle.live();
    device = Device.open(DeviceKind.CPU, 2, Bytes.of(1L << 30));
  }

  @AfterAll
  static void nothingLeaks() {
    device.close();
    assertEquals(handlesBefore, TensorHandle.live());
    assertEquals(0, device.memory().current().count());
  }

  @TestFactory
  Stream<DynamicTest> kernelsEqualTheReference() {
    return examples().map(e -> test(e, "", graph(e)));
  }

  @TestFactory
  Stream<DynamicTest> convolutionsOfAnyGeometryEqualTheReference() {
    return RandomConvolutions.examples(40).map(e -> test(e, "", graph(e)));
  }

  /** The op's operands are values that nobody else reads: kernels may write over them. */
  @TestFactory
  Stream<DynamicTest> kernelsMayWorkInPlace() {
    return examples()
        .filter(e -> e.types().stream().anyMatch(t -> t.dtype().isFloat()))
        .map(e -> test(e, " in place", inPlace(e)));
  }

  /** Sums and differences with a number for each row, the other operand kept or written over. */
  @TestFactory
  Stream<DynamicTest> numbersOfRowsMayBeAddedAndSubtracted() {
    return Stream.of(DataType.F32, DataType.F64, DataType.I32, DataType.I64)
        .flatMap(dtype -> Stream.of(3L, 64L, 257L).map(row -> TensorType.of(dtype, 5, row)))
        .flatMap(
            type ->
                Stream.<Op>of(new Add(), new Subtract())
                    .flatMap(
                        op ->
                            IntStream.range(0, 4)
                                .mapToObj(form -> rows(op, type, form % 2 == 1, form / 2 == 1))));
  }

  /**
   * A test of a sum or difference.
   *
   * @param swapped whether the rows' numbers are the left operand
   * @param made whether the other operand is a value that may be written over
   */
  private static DynamicTest rows(Op op, TensorType type, boolean swapped, boolean made) {
    TensorType column = type.with(Shape.of(type.size(0), 1));
    var builder = new Builder("rows");
    Value x = builder.input("x", type, Graph.Kind.DATA);
    Value c = builder.input("c", column, Graph.Kind.DATA);
    Tensor full = new Tensor(builder, x);
    Tensor left = made ? full.plus(full) : full;
    Tensor right = new Tensor(builder, c).broadcastTo(type.shape());
    builder.output(
        swapped ? Tensor.one(op, right, left).value() : Tensor.one(op, left, right).value());
    return DynamicTest.dynamicTest(
        op + " " + type + (swapped ? " swapped" : "") + (made ? " in place" : ""),
        () -> {
          var random = new SplittableRandom(1);
          var domain = new Example.Domain(-100, 100);
          compare(
              builder.build(),
              List.of(
                  ExampleData.random(type, domain, random),
                  ExampleData.random(column, domain, random)));
        });
  }

  private static Stream<Example> examples() {
    return OpTable.ENTRIES.stream().flatMap(entry -> entry.examples().stream());
  }

  private static DynamicTest test(Example example, String suffix, Graph graph) {
    return DynamicTest.dynamicTest(
        example.op() + " " + example.types() + suffix,
        () -> compare(graph, ExampleData.arguments(example, 1)));
  }

  private static Graph graph(Example example) {
    var builder = new Builder("example");
    List<Value> inputs = inputs(builder, example);
    builder.add(example.op(), inputs).forEach(builder::output);
    return builder.build();
  }

  private static Graph inPlace(Example example) {
    var builder = new Builder("example");
    var operands = new ArrayList<Value>();
    for (Value input : inputs(builder, example)) {
      Tensor tensor = new Tensor(builder, input);
      operands.add((input.dtype().isFloat() ? tensor.times(1.0625) : tensor).value());
    }
    for (Value output : builder.add(example.op(), operands)) {
      builder.output(output);
    }
    return builder.build();
  }

  private static List<Value> inputs(Builder builder, Example example) {
    var inputs = new ArrayList<Value>();
    for (TensorType type : example.types()) {
      inputs.add(builder.input("x" + inputs.size(), type, Graph.Kind.DATA));
    }
    return inputs;
  }

  private static void compare(Graph graph, List<Literal> arguments) {
    List<Literal> expected = Interpreter.run(graph, arguments);
    Map<Value, DeviceBuffer> bound = new HashMap<>();
    for (int i = 0; i < arguments.size(); i++) {
      Value input = graph.inputValues().get(i);
      DeviceBuffer buffer = device.allocate(input.name(), input.type());
      Literals.write(arguments.get(i), buffer.segment());
      bound.put(input, buffer);
    }
    try (Executable executable = device.load(graph, bound)) {
      // Twice: a second run must find the program as the first left it.
      executable.run();
      executable.run();
      for (int output = 0; output < expected.size(); output++) {
        Literal wanted = expected.get(output);
        Literal found = Literals.read(wanted.type(), executable.output(output).segment());
        for (int i = 0; i < wanted.elements(); i++) {
          double error = Math.abs(wanted.asDouble(i) - found.asDouble(i));
          boolean equal =
              Double.compare(wanted.asDouble(i), found.asDouble(i)) == 0
                  || error <= TOLERANCE * (1 + Math.abs(wanted.asDouble(i)));
          int place = i;
          assertTrue(
              equal,
              () ->
                  "element "
                      + place
                      + ": expected "
                      + wanted.asDouble(place)
                      + ", found "
                      + found.asDouble(place));
        }
      }
    } finally {
      bound.values().forEach(DeviceBuffer::close);
    }
  }
}
