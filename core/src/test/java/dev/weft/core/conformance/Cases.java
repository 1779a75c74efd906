package dev.weft.core.conformance;

import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Example;
import dev.weft.core.op.OpEntry;
import dev.weft.core.op.OpTable;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;

/** The walk over all ops and their examples. */
final class Cases {
  private Cases() {}

  /** One test per example of every op. */
  static Stream<DynamicNode> examples(Consumer<Example> check) {
    return OpTable.ENTRIES.stream().map(entry -> container(entry, check));
  }

  private static DynamicNode container(OpEntry entry, Consumer<Example> check) {
    return DynamicContainer.dynamicContainer(
        entry.name(),
        entry.examples().stream()
            .map(
                example ->
                    DynamicTest.dynamicTest(
                        example.op() + " of " + example.types(), () -> check.accept(example))));
  }

  /** A graph of the op alone. */
  static Graph graph(Op op, List<TensorType> types) {
    var builder = new Builder("one");
    var inputs = new ArrayList<Value>();
    for (TensorType type : types) {
      inputs.add(builder.input("x" + inputs.size(), type, Graph.Kind.DATA));
    }
    builder.add(op, inputs).forEach(builder::output);
    return builder.build();
  }

  /** What the op makes of the arguments. */
  static List<Literal> run(Op op, List<Literal> arguments) {
    return Interpreter.run(graph(op, arguments.stream().map(Literal::type).toList()), arguments);
  }

  static List<TensorType> types(List<Literal> literals) {
    return literals.stream().map(Literal::type).toList();
  }
}
