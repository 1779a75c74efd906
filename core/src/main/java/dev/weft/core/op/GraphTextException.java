package dev.weft.core.op;

import dev.weft.core.cluster.UserException;
import org.jspecify.annotations.Nullable;

/** The text of a graph cannot be read: says where, what was expected and what was found. */
public final class GraphTextException extends UserException {
  private static final int SHOWN = 60;

  private final int line;
  private final int column;

  GraphTextException(String text, int offset, String problem, @Nullable Throwable cause) {
    this(Position.of(text, offset), problem, cause);
  }

  private GraphTextException(Position position, String problem, @Nullable Throwable cause) {
    super(
        "line %d, column %d: %s%n  %s%n  %s^"
            .formatted(
                position.line,
                position.column,
                problem,
                position.shown,
                " ".repeat(position.indent)),
        cause);
    line = position.line;
    column = position.column;
  }

  /** The line of the text, from 1. */
  public int line() {
    return line;
  }

  /** The column in that line, from 1. */
  public int column() {
    return column;
  }

  /** A place in the text and the part of its line around it. */
  private record Position(int line, int column, String shown, int indent) {
    static Position of(String text, int offset) {
      int line = 1;
      int start = 0;
      for (int i = 0; i < offset; i++) {
        if (text.charAt(i) == '\n') {
          line++;
          start = i + 1;
        }
      }
      int end = text.indexOf('\n', offset);
      int to = Math.min(end < 0 ? text.length() : end, offset + SHOWN);
      int from = Math.max(start, offset - SHOWN);
      String shown = text.substring(from, to).replace('\t', ' ').stripTrailing();
      return new Position(line, offset - start + 1, shown, offset - from);
    }
  }
}
