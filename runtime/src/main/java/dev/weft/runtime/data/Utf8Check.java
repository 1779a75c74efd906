package dev.weft.runtime.data;

import dev.weft.core.cluster.UserException;
import java.util.Locale;

/**
 * Holds a stream of bytes to strict UTF-8: no overlong forms, no surrogates, nothing beyond
 * U+10FFFF, no character cut short. Bytes may come in pieces of any size.
 */
final class Utf8Check {
  private final String name;
  private long position;
  private long characterStart;
  private int first;
  private int missing;
  private int lowest = 0x80;
  private int highest = 0xBF;

  /**
   * A check of a text from a byte offset on.
   *
   * @param name what messages call the text
   */
  Utf8Check(String name, long from) {
    this.name = name;
    this.position = from;
  }

  /** True for a byte that stands within a character, not at its start. */
  static boolean continues(byte value) {
    return (value & 0xC0) == 0x80;
  }

  /**
   * Takes in the next bytes, the first {@code length} of an array.
   *
   * @throws UserException at the first character that UTF-8 does not allow, with its offset
   */
  void accept(byte[] bytes, int length) {
    for (int index = 0; index < length; index++) {
      byte value = bytes[index];
      if (value < 0 || missing > 0) {
        acceptWithinOrStart(value & 0xFF, position + index);
      }
    }
    position += length;
  }

  /**
   * Says that the text ends here.
   *
   * @throws UserException if it ends within a character
   */
  void end() {
    if (missing > 0) {
      throw new UserException(
          "'%s' is not UTF-8 text: the character that starts at byte offset %d is cut short by the end of the text%s"
              .formatted(name, characterStart, mend()));
    }
  }

  private void acceptWithinOrStart(int value, long offset) {
    if (missing > 0) {
      if (value < lowest || value > highest) {
        throw invalid(
            String.format(Locale.ROOT, "after which 0x%02X at %d may not come", value, offset));
      }
      missing--;
      lowest = 0x80;
      highest = 0xBF;
      return;
    }
    characterStart = offset;
    first = value;
    if (value >= 0xC2 && value <= 0xDF) {
      missing = 1;
    } else if (value >= 0xE0 && value <= 0xEF) {
      missing = 2;
      lowest = value == 0xE0 ? 0xA0 : 0x80;
      highest = value == 0xED ? 0x9F : 0xBF;
    } else if (value >= 0xF0 && value <= 0xF4) {
      missing = 3;
      lowest = value == 0xF0 ? 0x90 : 0x80;
      highest = value == 0xF4 ? 0x8F : 0xBF;
    } else {
      throw invalid("with which no character starts");
    }
  }

  private UserException invalid(String why) {
    return new UserException(
        String.format(
            Locale.ROOT,
            "'%s' is not UTF-8 text: at byte offset %d is 0x%02X, %s%s",
            name,
            characterStart,
            first,
            why,
            mend()));
  }

  private static String mend() {
    return "; convert the file (iconv -f latin1 -t utf-8, say) or leave it out";
  }
}
