package dev.weft.core.stage;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.UserException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Finds where to cut a model, whatever it is (Lai et al., Merak, section 3.2, "graph sharding"):
 * the slowest piece is as fast as can be; of such cuts the one that sends least, and of these the
 * one of the evenest pieces. Exact, by dynamic programming over runs of {@link Cutting#units}, for
 * given costs.
 */
public final class Balance {
  /** Rounding in sums of times must not tell equal cuts apart. */
  private static final double SLACK = 1 + 1e-9;

  /**
   * Where pieces begin, and what each takes.
   *
   * @param starts the first unit of each piece, for {@link Cutting#at}
   */
  public record Cut(List<Integer> starts, List<Load> loads) {
    public Cut {
      starts = List.copyOf(starts);
      loads = List.copyOf(loads);
    }

    /** The time of the slowest piece. */
    public double slowest() {
      return loads.stream().mapToDouble(Load::time).max().orElse(0);
    }

    /** Whether every piece has the memory that it needs. */
    public boolean fits(Memory memory) {
      for (int piece = 0; piece < loads.size(); piece++) {
        if (excess(memory, piece, loads.get(piece)) > 0) {
          return false;
        }
      }
      return true;
    }

    /** The bytes of all values that go from piece to piece. */
    public long received() {
      return loads.stream().mapToLong(Load::received).sum();
    }
  }

  /** What pieces need of their devices' memory. */
  public interface Memory {
    /** The bytes that a piece of such a load needs; more for more of it. */
    long needed(int piece, Load load);

    /** The bytes that there are for a piece. */
    long limit(int piece);
  }

  /** What counts of a piece when pieces shall be equally fast: at least the time of its load. */
  @FunctionalInterface
  public interface Pace {
    double of(int piece, Load load);
  }

  /** Everything fits. */
  public static final Memory ENDLESS =
      new Memory() {
        @Override
        public long needed(int piece, Load load) {
          return 0;
        }

        @Override
        public long limit(int piece) {
          return Long.MAX_VALUE;
        }
      };

  private final Loads loads;

  private Balance(Loads loads) {
    this.loads = loads;
  }

  /** Balance by costs. */
  public static Balance of(Cutting cutting, CutCosts costs) {
    return new Balance(new Loads(cutting, costs));
  }

  /**
   * The best cut.
   *
   * @throws UserException if the model has fewer units than pieces
   */
  public Cut cut(int pieces) {
    return cut(pieces, ENDLESS);
  }

  /**
   * The best of the cuts whose pieces fit their memory.
   *
   * @throws UserException if the model has fewer units than pieces; if no cut fits: names the stage
   *     that fails by least, by how much, and what would make it fit
   */
  public Cut cut(int pieces, Memory memory) {
    return cut(pieces, memory, (_, load) -> load.time(), 1);
  }

  /**
   * Of the cuts whose pieces fit their memory and whose slowest piece is at most so many times as
   * slow as that of the best, the one that sends least, and of these the one of the evenest pieces.
   *
   * @param slack at least 1
   * @throws UserException as {@link #cut(int, Memory)}
   */
  public Cut cut(int pieces, Memory memory, Pace pace, double slack) {
    checkCount(pieces);
    // Runs whose nodes take longer than some cut are in no better one. A cut that does not fit its
    // memory bounds nothing: then what is found is the best only if it keeps to the bound itself.
    double bound = slowest(evenly(pieces), pace) * SLACK;
    List<List<Load>> runs = runs(bound * slack);
    Price fits = (piece, load) -> excess(memory, piece, load) <= 0 ? 0 : Double.POSITIVE_INFINITY;
    double whole = loads.of(0, loads.units()).time();
    Cut fastest = fastest(runs, pieces, fits, pace);
    while ((fastest == null || slowest(fastest, pace) > bound) && bound < whole) {
      bound *= 4;
      runs = runs(bound * slack);
      fastest = fastest(runs, pieces, fits, pace);
    }
    if (fastest == null) {
      throw misfit(runs(Double.POSITIVE_INFINITY), pieces, memory);
    }
    double limit = slowest(fastest, pace) * slack * SLACK;
    Cut least =
        best(
            runs,
            pieces,
            (piece, load) ->
                pace.of(piece, load) > limit
                    ? Double.POSITIVE_INFINITY
                    : fits.of(piece, load) + load.received(),
            Double::sum,
            (piece, load) -> pace.of(piece, load) * pace.of(piece, load));
    return least == null ? fastest : least;
  }

  /**
   * A cut that is given, and what its pieces take.
   *
   * @param starts the first unit of each piece
   */
  public Cut at(List<Integer> starts) {
    var taken = new ArrayList<Load>();
    for (int piece = 0; piece < starts.size(); piece++) {
      int end = piece + 1 < starts.size() ? starts.get(piece + 1) : loads.units();
      taken.add(loads.of(starts.get(piece), end));
    }
    return new Cut(starts, taken);
  }

  private static double slowest(Cut cut, Pace pace) {
    double slowest = 0;
    for (int piece = 0; piece < cut.loads().size(); piece++) {
      slowest = Math.max(slowest, pace.of(piece, cut.loads().get(piece)));
    }
    return slowest;
  }

  private List<List<Load>> runs(double longest) {
    List<List<Load>> runs = new ArrayList<>();
    for (int first = 0; first < loads.units(); first++) {
      runs.add(loads.from(first, longest));
    }
    return runs;
  }

  private static @Nullable Cut fastest(List<List<Load>> runs, int pieces, Price fits, Pace pace) {
    return best(
        runs,
        pieces,
        (piece, load) -> fits.of(piece, load) + pace.of(piece, load),
        Math::max,
        (_, _) -> 0);
  }

  private void checkCount(int pieces) {
    if (pieces < 1) {
      throw new UserException("a model is cut into at least 1 piece, found " + pieces);
    }
    if (pieces > loads.units()) {
      throw new UserException(
          "a model that can be cut at %d places does not make %d pieces: choose fewer stages, at most %d in all, or a model of more layers"
              .formatted(Math.max(0, loads.units() - 1), pieces, Math.max(1, loads.units())));
    }
  }

  /** A cut that is good enough to bound the best: each piece takes its share of what is left. */
  private Cut evenly(int pieces) {
    int units = loads.units();
    if (units == 0) {
      return new Cut(List.of(0), List.of());
    }
    double rest = loads.of(0, units).time();
    var starts = new ArrayList<Integer>();
    var taken = new ArrayList<Load>();
    int first = 0;
    for (int piece = 0; piece < pieces; piece++) {
      int last = units - (pieces - piece - 1);
      int fitting = loads.from(first, rest / (pieces - piece)).size();
      int end = piece == pieces - 1 ? units : Math.clamp(first + fitting, first + 1, last);
      starts.add(first);
      taken.add(loads.of(first, end));
      rest -= taken.getLast().time();
      first = end;
    }
    return new Cut(starts, taken);
  }

  private static double excess(Memory memory, int piece, Load load) {
    return (double) memory.needed(piece, load) - memory.limit(piece);
  }

  private UserException misfit(List<List<Load>> runs, int pieces, Memory memory) {
    Cut nearest =
        best(
            runs,
            pieces,
            (piece, load) -> Math.max(0, excess(memory, piece, load)),
            Math::max,
            (_, _) -> 0);
    if (nearest == null) {
      throw new IllegalStateException("no cut into " + pieces + " pieces");
    }
    int worst = 0;
    for (int piece = 1; piece < pieces; piece++) {
      if (excess(memory, piece, nearest.loads().get(piece))
          > excess(memory, worst, nearest.loads().get(worst))) {
        worst = piece;
      }
    }
    Load load = nearest.loads().get(worst);
    long needed = memory.needed(worst, load);
    return new UserException(
        ("stage %d (of 0 to %d) does not fit: it needs %s (its parameters are %s), its memory is"
                + " %s, %s too little, and every other cut is worse; choose more stages, more"
                + " recomputation, smaller micro-batches or more memory")
            .formatted(
                worst,
                pieces - 1,
                Bytes.of(needed),
                Bytes.of(load.parameters()),
                Bytes.of(memory.limit(worst)),
                Bytes.of(needed - memory.limit(worst))));
  }

  /** What a run of units counts for as a piece; infinite if it may not be one. */
  @FunctionalInterface
  private interface Price {
    double of(int piece, Load load);
  }

  @FunctionalInterface
  private interface Fold {
    double of(double before, double piece);
  }

  /**
   * The cut of the least price, and of these of the least sum of ties.
   *
   * @return null if all prices are infinite
   */
  private static @Nullable Cut best(
      List<List<Load>> runs, int pieces, Price price, Fold fold, Price tie) {
    int units = runs.size();
    if (units == 0) {
      return new Cut(List.of(0), List.of(new Load(0, 0, 0, 0, 0)));
    }
    double[] prices = filled(units + 1);
    double[] ties = filled(units + 1);
    prices[0] = 0;
    ties[0] = 0;
    int[][] from = new int[pieces][units + 1];
    for (int piece = 0; piece < pieces; piece++) {
      double[] next = filled(units + 1);
      double[] nextTies = filled(units + 1);
      for (int first = 0; first < units; first++) {
        if (prices[first] == Double.POSITIVE_INFINITY) {
          continue;
        }
        List<Load> here = runs.get(first);
        for (int i = 0; i < here.size(); i++) {
          int end = first + i + 1;
          double total = fold.of(prices[first], price.of(piece, here.get(i)));
          double tied = ties[first] + tie.of(piece, here.get(i));
          if (total < next[end]
              || (total == next[end]
                  && total < Double.POSITIVE_INFINITY
                  && tied * SLACK < nextTies[end])) {
            next[end] = total;
            nextTies[end] = tied;
            from[piece][end] = first;
          }
        }
      }
      prices = next;
      ties = nextTies;
    }
    if (prices[units] == Double.POSITIVE_INFINITY) {
      return null;
    }
    var starts = new ArrayList<Integer>();
    var taken = new ArrayList<Load>();
    int end = units;
    for (int piece = pieces - 1; piece >= 0; piece--) {
      int first = from[piece][end];
      starts.addFirst(first);
      taken.addFirst(runs.get(first).get(end - first - 1));
      end = first;
    }
    return new Cut(starts, taken);
  }

  private static double[] filled(int length) {
    double[] values = new double[length];
    Arrays.fill(values, Double.POSITIVE_INFINITY);
    return values;
  }
}
