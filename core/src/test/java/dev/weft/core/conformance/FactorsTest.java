package dev.weft.core.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Factors.Mark;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Example;
import dev.weft.core.op.ExampleData;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleBinaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.TestFactory;

/** What an op says of how its dims correspond is true: its parts make up the whole. */
class FactorsTest {
  @TestFactory
  Stream<DynamicNode> factorsHaveOneSizeEach() {
    return Cases.examples(
        example -> {
          Factors factors = example.op().factors(example.types());
          List<TensorType> outputs = example.op().infer(example.types());
          assertEquals(ranks(example.types()), counts(factors.inputs()));
          assertEquals(ranks(outputs), counts(factors.outputs()));
          FactorSizes.of(factors, example.types(), outputs);
          factors
              .marks()
              .keySet()
              .forEach(factor -> assertTrue(factors.toString().contains(factor), factor));
        });
  }

  @TestFactory
  Stream<DynamicNode> factorsReadBackFromText() {
    return Cases.examples(
        example -> {
          Factors factors = example.op().factors(example.types());
          // Without inputs the text has an empty tensor on its left.
          if (!factors.inputs().isEmpty()) {
            assertEquals(factors, Factors.parse(factors.toString()));
          }
        });
  }

  @TestFactory
  Stream<DynamicNode> partsMakeUpTheWhole() {
    return Cases.examples(
        example -> {
          Factors factors = example.op().factors(example.types());
          List<TensorType> outputs = example.op().infer(example.types());
          FactorSizes sizes = FactorSizes.of(factors, example.types(), outputs);
          for (String factor : sizes.names()) {
            Mark mark = factors.marks().get(factor);
            if (isPlain(mark) && sizes.size(factor) >= 2) {
              split(example, factors, sizes, factor);
            }
          }
        });
  }

  /** Whether parts are made by the op alone. Halos are tried in {@link WindowedTest}. */
  private static boolean isPlain(@Nullable Mark mark) {
    return mark == null || mark == Mark.MAX || mark == Mark.MIN;
  }

  private static void split(Example example, Factors factors, FactorSizes sizes, String factor) {
    List<Literal> arguments = ExampleData.arguments(example, 6);
    List<Literal> whole = Cases.run(example.op(), arguments);
    long size = sizes.size(factor);
    long middle = (size + 1) / 2;
    List<Literal> first = part(example.op(), arguments, whole, factors, sizes, factor, 0, middle);
    List<Literal> second =
        part(example.op(), arguments, whole, factors, sizes, factor, middle, size);
    for (int i = 0; i < whole.size(); i++) {
      var parts = new Parts(factors.outputs().get(i), sizes, factor);
      Literal together;
      if (parts.isCut()) {
        together = Literal.filled(whole.get(i).type(), -1);
        assertNotEquals(whole.get(i), together);
        parts.put(first.get(i), together, 0, middle);
        parts.put(second.get(i), together, middle, size);
      } else {
        together = Parts.fold(first.get(i), second.get(i), reduction(factors.marks().get(factor)));
      }
      assertClose(whole.get(i), together, "output " + i + " split along " + factor);
    }
  }

  private static DoubleBinaryOperator reduction(@Nullable Mark mark) {
    return switch (mark) {
      case null -> Double::sum;
      case MAX -> Math::max;
      case MIN -> Math::min;
      case WHOLE, HALO, SCAN, TOP_K -> throw new AssertionError(mark + " is not split");
    };
  }

  private static List<Literal> part(
      Op op,
      List<Literal> arguments,
      List<Literal> whole,
      Factors factors,
      FactorSizes sizes,
      String factor,
      long from,
      long to) {
    var inputs = new ArrayList<Literal>();
    for (int i = 0; i < arguments.size(); i++) {
      var parts = new Parts(factors.inputs().get(i), sizes, factor);
      inputs.add(parts.isCut() ? parts.take(arguments.get(i), from, to) : arguments.get(i));
    }
    var types = new ArrayList<TensorType>();
    for (int i = 0; i < whole.size(); i++) {
      TensorType type = whole.get(i).type();
      types.add(new Parts(factors.outputs().get(i), sizes, factor).local(type, to - from));
    }
    Op local = op.local(types);
    assertEquals(
        types,
        local.infer(Cases.types(inputs)),
        () -> op.name() + " split along " + factor + "; does it need a local form?");
    return Cases.run(local, inputs);
  }

  private static void assertClose(Literal expected, Literal found, String message) {
    for (int i = 0; i < expected.elements(); i++) {
      double a = expected.asDouble(i);
      double b = found.asDouble(i);
      if (a != b) {
        assertEquals(a, b, 1e-9 * (1 + Math.abs(a)), message);
      }
    }
  }

  private static List<Integer> ranks(List<TensorType> types) {
    return types.stream().map(TensorType::rank).toList();
  }

  private static List<Integer> counts(List<List<List<String>>> tensors) {
    return tensors.stream().map(List::size).toList();
  }
}
