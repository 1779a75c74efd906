package dev.weft.core.op;

import dev.weft.core.cluster.Suggestion;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Cuts the text of a graph into words, names, quoted texts and signs. Blanks and comments are
 * skipped.
 */
final class TextScanner {
  private static final int SHOWN = 40;

  private final String text;
  private int offset;
  private int counted;
  private int line = 1;

  TextScanner(String text) {
    this.text = text;
    skip();
  }

  /** Whether a word or the inside of a name may have this letter. */
  static boolean isWordLetter(char letter) {
    return (letter >= 'a' && letter <= 'z')
        || (letter >= 'A' && letter <= 'Z')
        || (letter >= '0' && letter <= '9')
        || "_.*/-".indexOf(letter) >= 0;
  }

  /** Whether the text can stand in a graph without quotes. */
  static boolean isWord(String text) {
    return !text.isEmpty() && text.chars().allMatch(letter -> isWordLetter((char) letter));
  }

  /** Where the next token starts. */
  int offset() {
    return offset;
  }

  boolean atEnd() {
    return offset == text.length();
  }

  /** Whether the next token starts with this sign. */
  boolean at(char sign) {
    return offset < text.length() && text.charAt(offset) == sign;
  }

  boolean atWord() {
    return offset < text.length() && isWordLetter(text.charAt(offset));
  }

  /** Whether the next token is exactly this word. */
  boolean atWord(String word) {
    int end = offset + word.length();
    return text.startsWith(word, offset)
        && (end == text.length() || !isWordLetter(text.charAt(end)));
  }

  /** Takes the sign if it is next. */
  boolean take(char sign) {
    if (!at(sign)) {
      return false;
    }
    offset++;
    skip();
    return true;
  }

  /** Takes the word if it is next. */
  boolean takeWord(String word) {
    if (!atWord(word)) {
      return false;
    }
    offset += word.length();
    skip();
    return true;
  }

  void expect(char sign, String where) {
    if (!take(sign)) {
      throw expected("'" + sign + "' " + where);
    }
  }

  /** The next word; {@code what} says in errors what it should be. */
  String word(String what) {
    if (!atWord()) {
      throw expected(what);
    }
    int start = offset;
    while (atWord()) {
      offset++;
    }
    String word = text.substring(start, offset);
    skip();
    return word;
  }

  /**
   * One of several things that are written as words.
   *
   * @param what says in errors what it should be
   */
  <T> T oneOf(String what, List<T> choices, Function<T, String> text) {
    int start = offset;
    String word = word(what);
    List<String> known = choices.stream().map(text).toList();
    int index = known.indexOf(word);
    if (index < 0) {
      throw failure(
          start,
          "unknown %s %s: expected one of %s%s"
              .formatted(what, cut(word), known, Suggestion.hint(word, known)));
    }
    return choices.get(index);
  }

  /** A word in quotes, short enough for a message. */
  static String cut(String word) {
    return "'" + (word.length() > SHOWN ? word.substring(0, SHOWN) + "..." : word) + "'";
  }

  /** A word or a quoted text. */
  String wordOrQuoted(String what) {
    return at('"') ? quoted(what) : word(what);
  }

  /** The name of a value, without its percent sign. */
  String valueName() {
    if (!at('%')) {
      throw expected("a value like %x");
    }
    offset++;
    if (!atWord() && !at('"')) {
      throw expected("the name of a value right after '%'");
    }
    return wordOrQuoted("the name of a value");
  }

  /** A text in double quotes with the escapes of Java. */
  String quoted(String what) {
    if (!at('"')) {
      throw expected(what);
    }
    int start = offset;
    var result = new StringBuilder();
    offset++;
    while (true) {
      if (offset == text.length() || text.charAt(offset) == '\n') {
        throw failure(start, "this quoted text does not end on its line");
      }
      char letter = text.charAt(offset++);
      if (letter == '"') {
        skip();
        return result.toString();
      }
      result.append(letter == '\\' ? escaped() : letter);
    }
  }

  private char escaped() {
    if (offset == text.length()) {
      throw failure(offset, "the text ends within an escape");
    }
    char letter = text.charAt(offset++);
    return switch (letter) {
      case 'n' -> '\n';
      case 'r' -> '\r';
      case 't' -> '\t';
      case '"', '\\' -> letter;
      case 'u' -> {
        if (offset + 4 > text.length()
            || !text.substring(offset, offset + 4).matches("[0-9a-fA-F]{4}")) {
          throw failure(offset, "expected four hexadecimal digits after \\u");
        }
        offset += 4;
        yield (char) Integer.parseInt(text.substring(offset - 4, offset), 16);
      }
      default -> throw failure(offset - 2, "unknown escape \\" + letter);
    };
  }

  /** A text in quotes as {@link #quoted} reads it. */
  static String quote(String text) {
    var result = new StringBuilder("\"");
    for (int i = 0; i < text.length(); i++) {
      char letter = text.charAt(i);
      switch (letter) {
        case '"', '\\' -> result.append('\\').append(letter);
        case '\n' -> result.append("\\n");
        case '\r' -> result.append("\\r");
        case '\t' -> result.append("\\t");
        default -> {
          if (letter < ' ' || letter > '~') {
            result.append("\\u%04x".formatted((int) letter));
          } else {
            result.append(letter);
          }
        }
      }
    }
    return result.append('"').toString();
  }

  private void skip() {
    while (offset < text.length()) {
      if (at('#')) {
        int end = text.indexOf('\n', offset);
        offset = end < 0 ? text.length() : end;
      } else if (!Character.isWhitespace(text.charAt(offset))) {
        return;
      } else {
        offset++;
      }
    }
  }

  /** The error that something else was expected here. */
  GraphTextException expected(String what) {
    return failure(offset, "expected " + what + ", found " + found());
  }

  /** The line of a place in the text, from 1; mostly asked for in order. */
  int line(int where) {
    if (where < counted) {
      counted = 0;
      line = 1;
    }
    for (; counted < where; counted++) {
      line += text.charAt(counted) == '\n' ? 1 : 0;
    }
    return line;
  }

  GraphTextException failure(int where, String problem) {
    return failure(where, problem, null);
  }

  GraphTextException failure(int where, String problem, @Nullable Throwable cause) {
    return new GraphTextException(text, where, problem, cause);
  }

  private String found() {
    if (atEnd()) {
      return "the end of the text";
    }
    int end = offset + 1;
    if (atWord() || at('%')) {
      while (end < text.length() && end < offset + SHOWN && isWordLetter(text.charAt(end))) {
        end++;
      }
    }
    return "'" + text.substring(offset, end) + "'";
  }
}
