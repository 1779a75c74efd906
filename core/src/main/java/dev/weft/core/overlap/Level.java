package dev.weft.core.overlap;

import java.util.Arrays;
import java.util.Optional;

/** How far two halves of a batch stay apart. */
public enum Level {
  /** Nothing is cut. */
  OFF("nothing is cut in halves"),
  /** What is sent, with the product that makes it; joined behind it. */
  LINEAR("products are cut in halves whose results are sent"),
  /** All of a round of equal layers; what goes from round to round is joined. */
  BLOCK("rounds of layers are cut in halves"),
  /** All, from where data comes in to where its batch is folded away. */
  STACK("the whole batch is cut in halves");

  private final String meaning;

  Level(String meaning) {
    this.meaning = meaning;
  }

  /** The level of that number, from 0 to 3. */
  public static Optional<Level> of(String number) {
    return Arrays.stream(values())
        .filter(l -> Integer.toString(l.ordinal()).equals(number))
        .findFirst();
  }

  /** In words, for users. */
  public String meaning() {
    return meaning;
  }
}
