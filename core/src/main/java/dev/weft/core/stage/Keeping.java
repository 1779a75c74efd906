package dev.weft.core.stage;

import java.util.List;

/**
 * Chooses what is kept within a budget so that making the rest again costs least: by trying all on
 * small graphs, else between two cuts that are best at some price of memory (Lagrange), refined by
 * adding, dropping and exchanging.
 */
final class Keeping {
  /** So many things are tried in all combinations. */
  private static final int ALL = 16;

  /** Of so many each is tried in the place of others. */
  private static final int FEW = 48;

  private final Dependencies dependencies;
  private final long[] bytes;
  private final long budget;

  private Keeping(Dependencies dependencies, long budget) {
    this.dependencies = dependencies;
    this.bytes = dependencies.candidates().stream().mapToLong(c -> c.bytes()).toArray();
    this.budget = budget;
  }

  /** What to keep, by candidate. */
  static boolean[] choose(Dependencies dependencies, long budget) {
    return dependencies.candidates().size() <= ALL
        ? exhaustive(dependencies, budget)
        : search(dependencies, budget);
  }

  /** The best of all choices. */
  static boolean[] exhaustive(Dependencies dependencies, long budget) {
    var keeping = new Keeping(dependencies, budget);
    int count = keeping.bytes.length;
    boolean[] best = new boolean[count];
    double least = dependencies.cost(best);
    long fewest = 0;
    for (int choice = 1; choice < 1 << count; choice++) {
      boolean[] kept = new boolean[count];
      for (int i = 0; i < count; i++) {
        kept[i] = (choice >> i & 1) == 1;
      }
      long used = keeping.used(kept);
      if (used <= budget) {
        double cost = dependencies.cost(kept);
        if (cost < least || (cost == least && used < fewest)) {
          least = cost;
          best = kept;
          fewest = used;
        }
      }
    }
    return best;
  }

  /** A good choice, for graphs of any size. */
  static boolean[] search(Dependencies dependencies, long budget) {
    return new Keeping(dependencies, budget).search();
  }

  private boolean[] search() {
    int count = bytes.length;
    boolean[] over = dependencies.keptAt(0);
    if (used(over) <= budget) {
      return over;
    }
    boolean[] within = new boolean[count];
    double everything = dependencies.cost(within);
    double low = 0;
    double high = 2 * everything;
    // A byte dearer than all work is never kept. Prices are halved in their logarithms.
    for (int i = 0; i < 60 && everything > 0 && high - low > 1e-9 * high; i++) {
      double price = low == 0 ? high / 16 : Math.sqrt(low * high);
      boolean[] kept = dependencies.keptAt(price);
      if (used(kept) <= budget) {
        within = kept;
        high = price;
      } else {
        over = kept;
        low = price;
      }
    }
    boolean[] first = refined(within);
    boolean[] second = refined(shrunk(over, -1));
    return dependencies.cost(second) < dependencies.cost(first) ? second : first;
  }

  private long used(boolean[] kept) {
    long sum = 0;
    for (int i = 0; i < kept.length; i++) {
      sum += kept[i] ? bytes[i] : 0;
    }
    return sum;
  }

  /** Drops what costs least per byte until the rest fits; not the one that must stay. */
  private boolean[] shrunk(boolean[] start, int staying) {
    boolean[] kept = start.clone();
    while (used(kept) > budget) {
      double cost = dependencies.cost(kept);
      int cheapest = -1;
      double least = Double.POSITIVE_INFINITY;
      for (int i = 0; i < kept.length; i++) {
        if (kept[i] && i != staying) {
          kept[i] = false;
          double rise = (dependencies.cost(kept) - cost) / Math.max(1, bytes[i]);
          kept[i] = true;
          if (rise < least) {
            least = rise;
            cheapest = i;
          }
        }
      }
      kept[cheapest] = false;
    }
    return kept;
  }

  /** Adds what saves most per byte, as long as it fits. */
  private boolean[] filled(boolean[] start, int without) {
    boolean[] kept = start.clone();
    long free = budget - used(kept);
    double cost = dependencies.cost(kept);
    while (true) {
      int best = -1;
      double most = 0;
      for (int i = 0; i < kept.length; i++) {
        if (!kept[i] && i != without && bytes[i] <= free) {
          kept[i] = true;
          double saving = (cost - dependencies.cost(kept)) / Math.max(1, bytes[i]);
          kept[i] = false;
          if (saving > most) {
            most = saving;
            best = i;
          }
        }
      }
      if (best < 0) {
        return kept;
      }
      kept[best] = true;
      free -= bytes[best];
      cost = dependencies.cost(kept);
    }
  }

  /** Fills, then takes things out and fills again, as long as that helps. */
  private boolean[] refined(boolean[] start) {
    boolean[] best = filled(start, -1);
    double least = dependencies.cost(best);
    boolean better = true;
    while (better && least > 0) {
      better = false;
      for (int i = 0; i < best.length && !better; i++) {
        boolean[] tried = best.clone();
        tried[i] = !best[i];
        if (best[i] || (best.length <= FEW && bytes[i] <= budget)) {
          tried = best[i] ? filled(tried, i) : filled(shrunk(tried, i), -1);
          double cost = dependencies.cost(tried);
          if (cost < least * (1 - 1e-9)) {
            best = tried;
            least = cost;
            better = true;
          }
        }
      }
    }
    return lean(best);
  }

  /** Without what saves nothing. */
  private boolean[] lean(boolean[] start) {
    boolean[] kept = start.clone();
    double cost = dependencies.cost(kept);
    for (int i = 0; i < kept.length; i++) {
      if (kept[i]) {
        kept[i] = false;
        if (dependencies.cost(kept) > cost) {
          kept[i] = true;
        }
      }
    }
    return kept;
  }

  /** What is kept, in order. */
  static List<Dependencies.Candidate> chosen(Dependencies dependencies, boolean[] kept) {
    var chosen = new java.util.ArrayList<Dependencies.Candidate>();
    for (int i = 0; i < kept.length; i++) {
      if (kept[i]) {
        chosen.add(dependencies.candidates().get(i));
      }
    }
    return chosen;
  }
}
