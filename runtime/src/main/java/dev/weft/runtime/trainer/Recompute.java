package dev.weft.runtime.trainer;

import dev.weft.core.cluster.UserException;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.stage.Recomputation;
import java.util.function.IntFunction;

/** Reads what a user writes about recomputation. */
public final class Recompute {
  /** What keeps all. */
  static final String NONE = "none";

  /** What makes everything again. */
  static final String FULL = "full";

  /** What keeps as much as the memory of each stage allows. */
  public static final String AUTO = "auto";

  /** What the first stage makes again by the stage-aware rule where nobody says, as published. */
  private static final double FIRST_STAGE = 0.6;

  private Recompute() {}

  /**
   * What each piece makes again.
   *
   * @param text {@code none}, {@code full}, {@code fraction=0.5}, {@code stage-aware=0.6}, or
   *     {@code auto}, which begins with all
   * @throws UserException if it is none of these
   */
  public static IntFunction<Recomputation> parse(String text, int stages) {
    String[] sides = text.split("=", -1);
    if (sides.length == 1 && sides[0].equals(NONE)) {
      return _ -> new Recomputation.None();
    }
    if (sides.length == 1 && (sides[0].equals(FULL) || sides[0].equals(AUTO))) {
      return _ -> new Recomputation.Full();
    }
    if (sides.length == 2 && sides[0].equals("fraction")) {
      double share = share(text, sides[1]);
      return _ -> share == 0 ? new Recomputation.None() : new Recomputation.Fraction(1 - share);
    }
    if (sides[0].equals("stage-aware") && sides.length <= 2) {
      double share = sides.length == 1 ? FIRST_STAGE : share(text, sides[1]);
      return piece -> Recomputation.stageAware(share, piece % stages, stages);
    }
    throw new UserException(
        "recompute must be none, full, auto, fraction=0.5 or stage-aware=0.6, found '"
            + text
            + "'");
  }

  private static double share(String text, String number) {
    double share;
    try {
      share = Double.parseDouble(number);
    } catch (NumberFormatException e) {
      throw new UserException(
          "recompute '" + text + "' needs a number from 0 to 1 after =, found '" + number + "'", e);
    }
    if (!(share >= 0 && share <= 1)) {
      throw new UserException(
          "recompute '" + text + "' needs a number from 0 to 1 after =, found " + number);
    }
    return share;
  }

  /**
   * When it is made again.
   *
   * @throws UserException if the text is neither {@code early} nor {@code inline}
   */
  public static RecomputeTiming timing(String text) {
    for (RecomputeTiming timing : RecomputeTiming.values()) {
      if (timing.text().equals(text)) {
        return timing;
      }
    }
    throw new UserException("recompute-timing must be early or inline, found '" + text + "'");
  }
}
