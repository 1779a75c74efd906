package dev.weft.core.op;

import dev.weft.core.graph.Graph;
import java.util.Map;

/** The text form of graphs: what is printed reads back to the same graph. */
public final class GraphText {
  private GraphText() {}

  /** The graph as text, ending with a newline. */
  public static String print(Graph graph) {
    return new GraphPrinter().print(graph);
  }

  /**
   * Reads a graph of Weft's own ops.
   *
   * @throws GraphTextException if the text is no graph: names line and column
   */
  public static Graph parse(String text) {
    return parse(text, OpTable.STANDARD, Map.of());
  }

  /**
   * Reads a graph.
   *
   * @param table the ops that may occur
   * @param macros statements that stand for many nodes, by name
   * @throws GraphTextException if the text is no graph: names line and column
   */
  public static Graph parse(String text, OpTable table, Map<String, Macro> macros) {
    return parse(text, table, macros, "");
  }

  /**
   * Reads a graph from a file: where the text gives a node no source, it is the line it stands on.
   *
   * @param file its name, {@code mlp.txt}; empty for a text that stands in none
   * @throws GraphTextException if the text is no graph: names line and column
   */
  public static Graph parse(String text, OpTable table, Map<String, Macro> macros, String file) {
    return new GraphParser(text, table, macros, file).parse();
  }
}
