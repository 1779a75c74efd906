package dev.weft.core.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Verifier;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.op.Composite;
import dev.weft.core.op.ExampleData;
import dev.weft.core.op.Expansion;
import dev.weft.core.op.GraphText;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.TestFactory;

/** What an op computes, costs and prints agrees with the types it infers. */
class TypesTest {
  @TestFactory
  Stream<DynamicNode> resultsHaveTheInferredTypes() {
    return Cases.examples(
        example -> {
          List<Literal> outputs = Cases.run(example.op(), ExampleData.arguments(example, 1));
          assertEquals(example.op().infer(example.types()), Cases.types(outputs));
          for (Literal output : outputs) {
            for (int i = 0; i < output.elements(); i++) {
              assertFalse(Double.isNaN(output.asDouble(i)), "element " + i + " of " + output);
            }
          }
        });
  }

  @TestFactory
  Stream<DynamicNode> compositesExpandToGraphsOfTheirTypesAndValue() {
    return Cases.examples(
        example -> {
          if (example.op() instanceof Composite composite) {
            Graph small = Expansion.graph(composite, example.types());
            Verifier.verify("expansion", small);
            assertEquals(
                composite.infer(example.types()),
                small.outputValues().stream().map(v -> v.type()).toList());
            Graph one = Cases.graph(composite, example.types());
            Graph expanded = Verifier.verify("expansion", Expansion.expand(one, _ -> true));
            assertTrue(
                expanded.nodes().stream().noneMatch(node -> node.op() instanceof Composite),
                GraphText.print(expanded));
            List<Literal> arguments = ExampleData.arguments(example, 2);
            assertEquals(Interpreter.run(one, arguments), Interpreter.run(expanded, arguments));
          }
        });
  }

  @TestFactory
  Stream<DynamicNode> viewsShowWhatIsComputed() {
    return Cases.examples(
        example -> {
          Op op = example.op();
          if (example.arguments().isEmpty()) {
            return;
          }
          TensorType first = example.types().getFirst();
          op.view(Strided.dense(first.shape()))
              .ifPresent(
                  view -> {
                    List<Literal> arguments = ExampleData.arguments(example, 3);
                    Literal input = arguments.getFirst();
                    Literal output = Cases.run(op, arguments).getFirst();
                    assertEquals(output.shape(), view.shape());
                    Strided dense = Strided.dense(view.shape());
                    for (long i = 0; i < output.elements(); i++) {
                      long from = Positions.of(view, i);
                      assertEquals(
                          input.asDouble((int) from),
                          output.asDouble((int) Positions.of(dense, i)));
                    }
                  });
        });
  }

  @TestFactory
  Stream<DynamicNode> costsAreSane() {
    return Cases.examples(
        example -> {
          Op op = example.op();
          Cost cost = op.cost(example.types());
          assertTrue(cost.flops() >= 0 && Double.isFinite(cost.flops()), cost.toString());
          assertTrue(cost.bytes() >= 0 && Double.isFinite(cost.bytes()), cost.toString());
          boolean moves =
              !example.arguments().isEmpty()
                  && op.view(Strided.dense(example.types().getFirst().shape())).isEmpty();
          if (moves) {
            long written = op.infer(example.types()).stream().mapToLong(TensorType::bytes).sum();
            assertTrue(cost.bytes() >= written, cost + " but writes " + written);
          }
        });
  }

  @TestFactory
  Stream<DynamicNode> textReadsBackToTheSameGraph() {
    return Cases.examples(
        example -> {
          Graph graph = Cases.graph(example.op(), example.types());
          String text = GraphText.print(graph);
          Graph read = GraphText.parse(text);
          assertEquals(text, GraphText.print(read));
          assertEquals(example.op(), read.nodes().getFirst().op());
          assertEquals(graph.nodes().getFirst().origin(), read.nodes().getFirst().origin());
        });
  }

  @TestFactory
  Stream<DynamicNode> theSameArgumentsGiveTheSameResults() {
    return Cases.examples(
        example ->
            assertEquals(
                Cases.run(example.op(), ExampleData.arguments(example, 4)),
                Cases.run(example.op(), ExampleData.arguments(example, 4))));
  }
}
