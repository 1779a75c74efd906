package dev.weft.core.simulate;

import dev.weft.core.simulate.Sweep.Feature;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.StringJoiner;

/** What Merak's features bring alone and together, as in the benchmarks. */
public final class SweepTable {
  private SweepTable() {}

  private record Size(int stages, int microBatches) {}

  /** The table in Markdown. */
  static String print() {
    var columns = new ArrayList<Set<Feature>>();
    for (Feature feature : Feature.values()) {
      columns.add(EnumSet.of(feature));
    }
    columns.add(Sweep.together(Feature.SHIFTED));
    columns.add(Sweep.together(Feature.EAGER));
    var lines = new StringJoiner("\n");
    lines.add(
        "| K | M | F, B | delay | shifted | stage-aware | early | cut | halves |"
            + " eager | all, shifted | all, eager |");
    lines.add("|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (Size size : List.of(new Size(4, 8), new Size(4, 16), new Size(6, 12), new Size(8, 32))) {
      for (double forward : List.of(1.0, 2.0)) {
        for (double delay : List.of(0.0, 0.5, 1.0, 3.0)) {
          var sweep =
              new Sweep(
                  size.stages(), size.microBatches(), forward, 3 - forward, 1, 0.3, delay, 0.4);
          lines.add(row(sweep, columns));
        }
      }
    }
    return lines.toString();
  }

  private static String row(Sweep sweep, List<Set<Feature>> columns) {
    double plain = sweep.with(Set.of()).taken().makespan();
    var cells = new StringJoiner(" | ", "| ", " |");
    cells.add(Integer.toString(sweep.stages())).add(Integer.toString(sweep.microBatches()));
    cells.add(String.format(Locale.ROOT, "%.0f, %.0f", sweep.forward(), sweep.backward()));
    cells.add(Double.toString(sweep.delay()));
    for (Set<Feature> on : columns) {
      CutChoice found = sweep.with(on);
      // What was asked for, where it was not taken.
      double asked = found.considered().getFirst().order().considered().getFirst().makespan();
      double taken = found.taken().makespan();
      cells.add(
          asked == taken
              ? String.format(Locale.ROOT, "%.3f", taken / plain)
              : String.format(Locale.ROOT, "%.3f (%.3f)", taken / plain, asked / plain));
    }
    return cells.toString();
  }

  /** Prints it. */
  public static void main(String[] arguments) {
    System.out.println(print());
  }
}
