package dev.weft.core.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.ShapeException;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Example;
import dev.weft.core.op.ExampleData;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.TestFactory;

/** Arguments that do not fit end in an error that says what was found, and in no other. */
class ErrorsTest {
  @TestFactory
  Stream<DynamicNode> aWrongNumberOfInputsIsNamed() {
    return Cases.examples(
        example -> {
          List<TensorType> types = example.types();
          for (int count = 0; count < types.size(); count++) {
            accepts(example.op(), types.subList(0, count));
          }
          var more = new ArrayList<>(types);
          more.add(types.isEmpty() ? TensorType.of(DataType.F32, 2) : types.getLast());
          accepts(example.op(), more);
        });
  }

  @TestFactory
  Stream<DynamicNode> aWrongTypeIsNamed() {
    return Cases.examples(
        example -> {
          for (int i = 0; i < example.arguments().size(); i++) {
            TensorType type = example.types().get(i);
            for (TensorType wrong : wrong(type)) {
              var types = new ArrayList<>(example.types());
              types.set(i, wrong);
              accepts(example.op(), types);
            }
          }
        });
  }

  /** What an op accepts in another data type it also computes. */
  @TestFactory
  Stream<DynamicNode> acceptedDataTypesAreComputed() {
    return Cases.examples(
        example -> {
          for (DataType from : DataType.values()) {
            for (DataType to : DataType.values()) {
              var types = example.types().stream().map(t -> t.dtype() == from ? t.with(to) : t);
              compute(example, types.toList());
            }
          }
        });
  }

  private static void compute(Example example, List<TensorType> types) {
    if (types.equals(example.types()) || !accepts(example.op(), types)) {
      return;
    }
    var random = new SplittableRandom(5);
    var arguments = new ArrayList<Literal>();
    for (int i = 0; i < types.size(); i++) {
      arguments.add(ExampleData.random(types.get(i), example.arguments().get(i).domain(), random));
    }
    assertEquals(example.op().infer(types), Cases.types(Cases.run(example.op(), arguments)));
  }

  private static List<TensorType> wrong(TensorType type) {
    var wrong = new ArrayList<TensorType>();
    wrong.add(type.with(type.shape().insert(0, 2)));
    wrong.add(type.with(type.shape().insert(type.rank(), 7)));
    for (int dim = 0; dim < type.rank(); dim++) {
      wrong.add(type.with(type.shape().without(dim)));
      wrong.add(type.with(type.shape().with(dim, type.size(dim) + 1)));
      wrong.add(type.with(type.shape().with(dim, 1)));
      wrong.add(type.with(type.shape().with(dim, 0)));
    }
    for (DataType dtype : DataType.values()) {
      if (dtype != type.dtype()) {
        wrong.add(type.with(dtype));
      }
    }
    return wrong;
  }

  /** Whether the op takes the types; it then answers all other questions about them, too. */
  private static boolean accepts(Op op, List<TensorType> types) {
    List<TensorType> outputs;
    try {
      outputs = op.infer(types);
    } catch (ShapeException e) {
      String message = String.valueOf(e.getMessage());
      assertTrue(message.contains(op.name()), message);
      for (TensorType type : types) {
        assertTrue(message.contains(type.toString()), "no word of " + type + ": " + message);
      }
      return false;
    }
    Factors factors = op.factors(types);
    assertEquals(ranks(types), factors.inputs().stream().map(List::size).toList());
    assertEquals(ranks(outputs), factors.outputs().stream().map(List::size).toList());
    assertTrue(op.cost(types).bytes() >= 0);
    op.kernels(DeviceKind.CPU, types).forEach(kernel -> assertTrue(!kernel.calls().isEmpty()));
    return true;
  }

  private static List<Integer> ranks(List<TensorType> types) {
    return types.stream().map(TensorType::rank).toList();
  }
}
