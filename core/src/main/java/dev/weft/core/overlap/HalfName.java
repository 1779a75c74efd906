package dev.weft.core.overlap;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** How values of one half of a batch are called: {@code h.half.a}, {@code h.half.b}. */
public final class HalfName {
  private static final String MARK = ".half.";
  private static final Pattern MARKED = Pattern.compile("\\.half\\.([ab])(?![A-Za-z_])");

  private HalfName() {}

  /**
   * The name of a half of a value.
   *
   * @param half 0 or 1
   */
  static String of(String value, int half) {
    return value + MARK + (half == 0 ? "a" : "b");
  }

  /** Which half a text is about that has the name of a value in it, {@code a} or {@code b}. */
  public static Optional<String> in(String text) {
    Matcher matcher = MARKED.matcher(text);
    Optional<String> half = Optional.empty();
    while (matcher.find()) {
      half = Optional.of(matcher.group(1));
    }
    return half;
  }
}
