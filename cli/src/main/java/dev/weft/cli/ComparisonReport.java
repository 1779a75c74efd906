package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.program.Queue;
import dev.weft.runtime.trace.Comparison;
import dev.weft.runtime.trace.Comparison.Figure;
import dev.weft.runtime.trace.RunTrace;
import dev.weft.runtime.trace.StepTrace;
import java.util.Locale;

/**
 * A comparison in words and figures.
 *
 * @param cluster what was simulated on
 */
record ComparisonReport(String run, String cluster, RunTrace trace, Comparison comparison) {
  private static final double MILLIS = 1e3;

  ObjectNode json() {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("run", run);
    tree.put("cluster", cluster);
    ArrayNode steps = tree.putArray("steps");
    trace.steps().stream().mapToLong(StepTrace::step).forEach(steps::add);
    put(tree.putObject("makespan_ms"), comparison.makespan(), MILLIS);
    put(tree.putObject("bubble"), comparison.bubble(), 1);
    ArrayNode stages = tree.putArray("per_stage");
    for (Comparison.StageFigures stage : comparison.stages()) {
      ObjectNode node = stages.addObject().put("stage", stage.stage());
      put(node.putObject("busy_ms"), stage.busy(), MILLIS);
      put(node.putObject("waiting_ms"), stage.waiting(), MILLIS);
    }
    ArrayNode fragments = tree.putArray("fragments");
    ArrayNode transfers = tree.putArray("transfers");
    for (Comparison.Part part : comparison.parts()) {
      ObjectNode node =
          (part.queue() == Queue.COMPUTE ? fragments : transfers)
              .addObject()
              .put("stage", part.stage())
              .put("name", part.name())
              .put("count", part.count())
              .put("real_ms", MILLIS * part.time().real())
              .put("simulated_ms", MILLIS * part.time().simulated());
      putRatio(node, part.time());
    }
    return tree;
  }

  private static void put(ObjectNode node, Figure figure, double unit) {
    node.put("real", unit * figure.real()).put("simulated", unit * figure.simulated());
    putRatio(node, figure);
  }

  /** Real over simulated; null where nothing was simulated. */
  private static void putRatio(ObjectNode node, Figure figure) {
    if (Double.isFinite(figure.ratio())) {
      node.put("ratio", figure.ratio());
    } else {
      node.putNull("ratio");
    }
  }

  String text() {
    var text = new StringBuilder();
    text.append(run).append(", making gradients in ");
    int count = trace.steps().size();
    text.append(
        count == 1
            ? "step " + trace.steps().getLast().step()
            : "%d steps up to %d (medians)".formatted(count, trace.steps().getLast().step()));
    text.append(", simulated on ").append(cluster).append("\n\n");
    text.append("                              count     real ms  simulated ms    ratio\n");
    line(text, "makespan", "", comparison.makespan());
    line(text, "bubble, %", "", scaled(comparison.bubble(), 100 / MILLIS));
    for (Comparison.StageFigures stage : comparison.stages()) {
      line(text, "stage " + stage.stage() + " computes", "", stage.busy());
      if (stage.waiting().real() > 0 || stage.waiting().simulated() > 0) {
        line(text, "  of it collectives", "", stage.waiting());
      }
    }
    int stage = -1;
    for (Comparison.Part part : comparison.parts()) {
      if (part.stage() != stage) {
        stage = part.stage();
        text.append("stage ").append(stage).append('\n');
      }
      String name = (part.queue() == Queue.COMPUTE ? "" : "receive ") + part.name();
      line(text, "  " + name, Integer.toString(part.count()), part.time());
    }
    return text.toString();
  }

  private static Figure scaled(Figure figure, double unit) {
    return new Figure(figure.real() * unit, figure.simulated() * unit);
  }

  private static void line(StringBuilder text, String name, String count, Figure figure) {
    text.append(
        String.format(
            Locale.ROOT,
            "%-29s %5s %11.3f %13.3f %8s%n",
            name,
            count,
            MILLIS * figure.real(),
            MILLIS * figure.simulated(),
            Double.isFinite(figure.ratio())
                ? String.format(Locale.ROOT, "%.2f", figure.ratio())
                : "-"));
  }
}
