package dev.weft.core.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Strided;
import dev.weft.core.op.Composite;
import dev.weft.core.op.Example;
import dev.weft.core.op.OpEntry;
import dev.weft.core.op.OpTable;
import dev.weft.core.op.Primitive;
import java.lang.reflect.Modifier;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Every op of the table has all its parts. */
class TableTest {
  private static final Pattern CALL =
      Pattern.compile("(aten|shim|weft)::[a-z0-9_]+(\\.[A-Za-z0-9_]+)?\\(.*\\).*", Pattern.DOTALL);

  /** Written once when a program is loaded. */
  private static final Set<String> NEEDS_NO_KERNEL = Set.of("constant");

  @Test
  void theTableIsInAlphabeticalOrder() {
    List<String> names = OpTable.ENTRIES.stream().map(OpEntry::name).toList();
    assertEquals(names.stream().sorted().toList(), names);
  }

  @TestFactory
  Stream<DynamicNode> opsAreRecordsOfOneOfTheTwoKinds() {
    return OpTable.ENTRIES.stream()
        .map(entry -> DynamicTest.dynamicTest(entry.name(), () -> checkEntry(entry)));
  }

  private static void checkEntry(OpEntry entry) {
    assertFalse(entry.examples().isEmpty(), "an op needs an example");
    Class<?> type = entry.type();
    assertTrue(type.isRecord(), "attributes are the components of a record");
    assertTrue(Modifier.isPublic(type.getModifiers()), "users make ops");
    assertTrue(
        Primitive.class.isAssignableFrom(type) ^ Composite.class.isAssignableFrom(type),
        "an op is either a primitive, with a reference, or a composite, with an expansion");
    for (Example example : entry.examples()) {
      assertEquals(type, example.op().getClass());
      assertEquals(entry.name(), example.op().name());
    }
  }

  @TestFactory
  Stream<DynamicNode> primitivesHaveAKernelOrAreViews() {
    return Cases.examples(
        example -> {
          List<Kernel> kernels = example.op().kernels(DeviceKind.CPU, example.types());
          for (Kernel kernel : kernels) {
            checkKernel(kernel, example);
          }
          example
              .op()
              .accumulate(DeviceKind.CPU, example.types())
              .ifPresent(kernel -> checkKernel(kernel, example));
          boolean view =
              !example.arguments().isEmpty()
                  && example
                      .op()
                      .view(Strided.dense(example.types().getFirst().shape()))
                      .isPresent();
          assertTrue(
              !kernels.isEmpty()
                  || view
                  || example.op() instanceof Composite
                  || NEEDS_NO_KERNEL.contains(example.op().name()),
              "a primitive needs a kernel or a view");
        });
  }

  private static void checkKernel(Kernel kernel, Example example) {
    assertFalse(kernel.calls().isEmpty(), "a kernel calls something");
    for (String call : kernel.calls()) {
      assertTrue(CALL.matcher(call).matches(), call);
    }
    int inputs = example.arguments().size();
    int outputs = example.op().infer(example.types()).size();
    Stream.concat(kernel.mutates().stream(), kernel.shares().stream())
        .forEach(
            pair -> {
              assertTrue(pair.output() >= 0 && pair.output() < outputs, pair.toString());
              // An accumulating kernel numbers the value it adds to behind the inputs.
              assertTrue(pair.input() >= 0 && pair.input() <= inputs, pair.toString());
            });
    kernel.clobbers().forEach(input -> assertTrue(input >= 0 && input < inputs));
  }
}
