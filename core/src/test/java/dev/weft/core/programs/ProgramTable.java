package dev.weft.core.programs;

import dev.weft.core.collective.Collective;
import dev.weft.core.shard.Explanation;
import dev.weft.core.shard.Partitioner;
import java.util.Locale;
import java.util.OptionalLong;
import java.util.StringJoiner;

/** What the programs send, beside what XLA's partitioner sends for them, as in the benchmarks. */
public final class ProgramTable {
  private ProgramTable() {}

  /** What becomes of a program. */
  static Explanation explain(Program program) {
    var graph = program.graph();
    return Explanation.of(graph, Partitioner.partition(graph, program.mesh()));
  }

  /** The table in Markdown. */
  static String print() {
    var lines = new StringJoiner("\n");
    lines.add(
        "| program | mesh | XLA | XLA, AR + slice as RS, better propagation | by hand | Weft |"
            + " AR/AG/RS/A2A/CP |");
    lines.add("|---|---|---|---|---|---|---|");
    for (Program program : Program.ALL) {
      Explanation explanation = explain(program);
      OptionalLong byHand = program.byHand();
      var counts = new StringJoiner("/");
      for (Collective.Kind kind : Collective.Kind.values()) {
        Explanation.Total total = explanation.totals().get(kind);
        counts.add(total == null ? "0" : Long.toString(total.count()));
      }
      lines.add(
          String.format(
              Locale.ROOT,
              "| %s | %s | %,d | %,d | %s | %,d | %s |",
              program.name(),
              program.mesh(),
              program.xlaBytes(),
              program.best(),
              byHand.isPresent() ? String.format(Locale.ROOT, "%,d", byHand.getAsLong()) : "-",
              explanation.bytesPerDevice(),
              counts));
    }
    return lines.toString();
  }

  /** Prints the table. */
  public static void main(String[] arguments) {
    System.out.println(print());
  }
}
