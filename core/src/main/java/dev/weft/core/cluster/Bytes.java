package dev.weft.core.cluster;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** An amount of memory or of data moved. */
public record Bytes(long count) implements Comparable<Bytes> {
  public static final Bytes ZERO = new Bytes(0);

  private static final long PAGE = 4096;

  private static final Pattern TEXT =
      Pattern.compile("\\s*(\\d+(?:\\.\\d+)?)\\s*([KMGT]?)(i?)B?\\s*", Pattern.CASE_INSENSITIVE);

  public static Bytes of(long count) {
    return new Bytes(count);
  }

  /**
   * Reads {@code 4GiB}, {@code 512MB}, {@code 1.5G} (decimal unless written with an i) or a plain
   * number of bytes.
   *
   * @throws UserException if the text is none of these
   */
  public static Bytes parse(String text) {
    Matcher matcher = TEXT.matcher(text);
    if (!matcher.matches()) {
      throw new UserException(
          "expected an amount of memory like 4GiB, 512MB or 1000000, found '" + text + "'");
    }
    double base = matcher.group(3).isEmpty() ? 1000 : 1024;
    int power =
        matcher.group(2).isEmpty() ? 0 : " KMGT".indexOf(matcher.group(2).toUpperCase(Locale.ROOT));
    double count = Double.parseDouble(matcher.group(1)) * Math.pow(base, power);
    if (count > Long.MAX_VALUE) {
      throw new UserException("'" + text + "' is more memory than a number of bytes can say");
    }
    return new Bytes(Math.round(count));
  }

  /** What memory for so many bytes comes to: whole pages, one at least. */
  public static long pages(long bytes) {
    return Math.max(PAGE, Math.ceilDiv(bytes, PAGE) * PAGE);
  }

  public Bytes plus(Bytes other) {
    return new Bytes(Math.addExact(count, other.count));
  }

  @Override
  public int compareTo(Bytes other) {
    return Long.compare(count, other.count);
  }

  /** For people: {@code 1.50 GiB}. */
  @Override
  public String toString() {
    if (Math.abs(count) < 1024) {
      return count + " B";
    }
    String[] units = {"KiB", "MiB", "GiB", "TiB"};
    double amount = count / 1024.0;
    int unit = 0;
    while (Math.abs(amount) >= 1024 && unit < units.length - 1) {
      amount /= 1024;
      unit++;
    }
    return String.format(Locale.ROOT, "%.2f %s", amount, units[unit]);
  }
}
