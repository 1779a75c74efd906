package dev.weft.core.simulate;

import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Suggestion;
import dev.weft.core.cluster.UserException;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Work;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The same costs on every stage, whatever it computes.
 *
 * @param work what all chunks of a stage together take for a micro-batch, by kind of work
 * @param recomputed for each piece the share of its forward that it does again
 * @param stages how many there are; piece {@code chunk * stages + stage} lies on that stage
 * @param link between any two stages
 */
public record UnitCosts(Map<Work, Double> work, List<Double> recomputed, int stages, Link link)
    implements CostModel {
  public UnitCosts {
    work = Map.copyOf(work);
    recomputed = List.copyOf(recomputed);
  }

  /** Equal pieces that recompute all of their forward. */
  public static UnitCosts of(Map<Work, Double> work, int pieces, int stages, double delay) {
    return new UnitCosts(
        work, Collections.nCopies(pieces, 1.0), stages, new Link(delay, Double.POSITIVE_INFINITY));
  }

  @Override
  public Duration fragment(StageProgram stage, Fragment fragment) {
    if (fragment.work() == Work.STEP) {
      return new Duration(0);
    }
    double all =
        fragment.work() == Work.MICRO_BATCH
            ? cost(Work.FORWARD) + cost(Work.BACKWARD)
            : cost(fragment.work());
    int piece = fragment.chunk() * stages + stage.stage();
    double share = fragment.work() == Work.RECOMPUTE ? recomputed.get(piece) : 1;
    return new Duration(all * share * stages / recomputed.size());
  }

  private double cost(Work kind) {
    return work.getOrDefault(kind, 0.0);
  }

  @Override
  public Link link(int from, int to) {
    return link;
  }

  /**
   * Reads {@code F=1,B=2,R=1}. What is not said follows: F is 1, R as F, B twice F or I and W
   * together, I and W half of B.
   *
   * @throws UserException if the text is no list of costs
   */
  public static Map<Work, Double> parse(String text) {
    Map<String, Work> letters = new HashMap<>();
    for (Work kind : Work.values()) {
      if (kind != Work.STEP && kind != Work.MICRO_BATCH) {
        letters.put(kind.letter(), kind);
      }
    }
    var costs = new EnumMap<Work, Double>(Work.class);
    for (String part : text.isBlank() ? new String[0] : text.split(",", -1)) {
      String[] sides = part.split("=", -1);
      Work kind = letters.get(sides[0].trim());
      if (sides.length != 2 || kind == null) {
        throw new UserException(
            "expected costs like F=1,B=2,R=1 (F forward, B backward, R recompute, I input gradient,"
                + " W weight gradient), found '"
                + part.trim()
                + "' in '"
                + text
                + "'"
                + Suggestion.hint(sides[0].trim(), letters.keySet()));
      }
      if (costs.put(kind, number(sides[1].trim(), text)) != null) {
        throw new UserException(
            "the costs '" + text + "' say " + kind.letter() + " twice: leave one out");
      }
    }
    double forward = costs.computeIfAbsent(Work.FORWARD, _ -> 1.0);
    costs.putIfAbsent(Work.RECOMPUTE, forward);
    Double input = costs.get(Work.INPUT_GRADIENT);
    Double weight = costs.get(Work.WEIGHT_GRADIENT);
    costs.putIfAbsent(
        Work.BACKWARD, input != null && weight != null ? input + weight : 2 * forward);
    double backward = costs.get(Work.BACKWARD);
    double half = backward / 2;
    costs.putIfAbsent(
        Work.INPUT_GRADIENT, weight != null && weight <= backward ? backward - weight : half);
    costs.putIfAbsent(
        Work.WEIGHT_GRADIENT, input != null && input <= backward ? backward - input : half);
    return costs;
  }

  private static double number(String text, String whole) {
    double number;
    try {
      number = Double.parseDouble(text);
    } catch (NumberFormatException e) {
      number = -1;
    }
    if (!(number >= 0) || number == Double.POSITIVE_INFINITY) {
      throw new UserException(
          "expected costs of at least 0 like F=1,B=2,R=1, found '" + text + "' in '" + whole + "'");
    }
    return number;
  }
}
