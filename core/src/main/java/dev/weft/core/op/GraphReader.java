package dev.weft.core.op;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Spec;
import dev.weft.core.cluster.Suggestion;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Reads texts in which graphs stand among other things, piece by piece. Blanks, line ends and
 * comments only separate. Everything ends in a {@link GraphTextException} if the text is otherwise.
 */
public final class GraphReader {
  private final TextScanner scanner;
  private final GraphParser graphs;

  /**
   * Begins to read a text.
   *
   * @param table the ops that may occur
   */
  public GraphReader(String text, OpTable table) {
    scanner = new TextScanner(text);
    graphs = new GraphParser(scanner, table, Map.of(), "");
  }

  /** Whether the text ends here. */
  public boolean atEnd() {
    return scanner.atEnd();
  }

  /** Takes the sign if it is next. */
  public boolean take(char sign) {
    return scanner.take(sign);
  }

  /** Takes the word if it is next. */
  public boolean takeWord(String word) {
    return scanner.takeWord(word);
  }

  /** Takes the sign; {@code where} says in errors where it is missing. */
  public void expect(char sign, String where) {
    scanner.expect(sign, where);
  }

  /** Takes the word; {@code where} says in errors where it is missing. */
  public void expect(String word, String where) {
    if (!scanner.takeWord(word)) {
      throw scanner.expected("'" + word + "' " + where);
    }
  }

  /** A word or a text in quotes; {@code what} says in errors what it should be. */
  public String name(String what) {
    return scanner.wordOrQuoted(what);
  }

  /** The name behind a percent sign. */
  public String valueName() {
    return scanner.valueName();
  }

  /** Which of some names stands behind a percent sign. */
  public int valueOf(String what, List<String> names) {
    int offset = scanner.offset();
    String name = scanner.valueName();
    int index = names.indexOf(name);
    if (index < 0) {
      throw scanner.failure(
          offset, "no %s %%%s%s".formatted(what, name, Suggestion.hint(name, names)));
    }
    return index;
  }

  /** A whole number of at least 0. */
  public int number() {
    return (int) graphs.attributes().whole(0, Integer.MAX_VALUE);
  }

  /** A type, {@code f32[2,3]}. */
  public TensorType type() {
    return graphs.attributes().tensorType();
  }

  /** Whether a sharding is next. */
  public boolean atSpec() {
    return scanner.at('[');
  }

  /** A sharding, {@code [{data},{}]}. */
  public Spec spec() {
    return graphs.attributes().spec();
  }

  /** An axis with its size, {@code data=2}. */
  public MeshAxis axis() {
    return graphs.attributes().axis();
  }

  /** One of several things that are written as words. */
  public <T> T oneOf(String what, List<T> choices, Function<T, String> text) {
    return scanner.oneOf(what, choices, text);
  }

  /** A graph. */
  public Graph graph() {
    return graphs.graph();
  }

  /** What stands in parentheses with commas between. */
  public <T> List<T> list(String what, Supplier<T> item) {
    scanner.expect('(', "before " + what);
    var items = new ArrayList<T>();
    while (!scanner.take(')')) {
      items.add(item.get());
      if (!scanner.take(',') && !scanner.at(')')) {
        throw scanner.expected("',' or ')' among " + what);
      }
    }
    return items;
  }

  /** The error that something else was expected here. */
  public GraphTextException expected(String what) {
    return scanner.expected(what);
  }

  /** A name as {@link #name} reads it: in quotes where it is no word. */
  public static String print(String name) {
    return TextScanner.isWord(name) ? name : TextScanner.quote(name);
  }
}
