package dev.weft.core.op;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Origin;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Writes the text form of graphs. */
final class GraphPrinter {
  private static final int WIDTH = 100;

  private final StringBuilder text = new StringBuilder();

  String print(Graph graph) {
    graph(graph, 0);
    return text.append('\n').toString();
  }

  private void graph(Graph graph, int indent) {
    List<String> inputs = graph.inputs().stream().map(i -> input(i)).toList();
    String inner = " ".repeat(indent + 2);
    text.append("graph ").append(word(graph.name())).append('(');
    int length = inputs.stream().mapToInt(input -> input.length() + 2).sum();
    boolean wide = indent + graph.name().length() + length > WIDTH;
    String between = wide ? ",\n" + inner + "  " : ", ";
    text.append(wide ? "\n" + inner + "  " : "")
        .append(String.join(between, inputs))
        .append(") {\n");
    for (Node node : graph.nodes()) {
      text.append(inner);
      node(node, indent + 2);
      text.append('\n');
    }
    text.append(inner).append("return");
    text.append(
        graph.outputs().stream().map(o -> " " + output(o)).collect(Collectors.joining(",")));
    text.append('\n').append(" ".repeat(indent)).append('}');
  }

  private static String input(Graph.Input input) {
    Value value = input.value();
    String kind =
        input.kind() == Graph.Kind.DATA ? "" : " " + input.kind().name().toLowerCase(Locale.ROOT);
    return name(value) + ": " + value.type() + kind;
  }

  private static String output(Graph.Output output) {
    Value donated = output.donated();
    return name(output.value()) + (donated == null ? "" : " into " + name(donated));
  }

  private void node(Node node, int indent) {
    text.append(names(node.outputs())).append(" = ").append(node.op().name()).append('(');
    text.append(names(node.inputs()));
    boolean first = node.inputs().isEmpty();
    for (AttributeCodec.Attribute attribute : AttributeCodec.attributes(node.op().getClass())) {
      text.append(first ? "" : ", ").append(attribute.name()).append('=');
      first = false;
      attribute(attribute.of(node.op()), indent);
    }
    text.append(") : ");
    text.append(
        node.outputs().stream().map(v -> v.type().toString()).collect(Collectors.joining(", ")));
    text.append(origin(node));
  }

  private void attribute(Object value, int indent) {
    if (value instanceof Graph graph) {
      graph(graph, indent);
    } else {
      text.append(AttributeCodec.print(value));
    }
  }

  /** What of the origin does not follow from the node itself. */
  private static String origin(Node node) {
    Origin origin = node.origin();
    var parts = new ArrayList<String>();
    boolean own = origin.forward().equals(node.output(0).name());
    if (!own || origin.role() != Role.FORWARD) {
      parts.add(
          TextScanner.isWord(origin.forward())
              ? origin.forward()
              : "%" + TextScanner.quote(origin.forward()));
    }
    if (origin.role() != Role.FORWARD) {
      parts.add(origin.role().text());
    }
    if (!origin.source().isEmpty()) {
      parts.add(TextScanner.quote(origin.source()));
    }
    return parts.isEmpty() ? "" : "  @ " + String.join(" ", parts);
  }

  private static String names(List<Value> values) {
    return values.stream().map(GraphPrinter::name).collect(Collectors.joining(", "));
  }

  private static String name(Value value) {
    return "%" + word(value.name());
  }

  private static String word(String name) {
    return TextScanner.isWord(name) ? name : TextScanner.quote(name);
  }
}
