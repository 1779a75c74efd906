package dev.weft.core.program;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.op.GraphReader;
import dev.weft.core.op.GraphText;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** Writes the text form of programs. */
final class ProgramPrinter {
  private final StringBuilder text = new StringBuilder();

  private ProgramPrinter() {}

  static String print(Program program) {
    var printer = new ProgramPrinter();
    printer.program(program);
    return printer.text.toString();
  }

  private void program(Program program) {
    text.append("program ").append(GraphReader.print(program.name()));
    text.append(" micro-batches=").append(program.microBatches()).append(" {\n");
    program.stages().forEach(this::stage);
    text.append("}\n");
  }

  private void stage(StageProgram stage) {
    text.append("  stage ").append(stage.stage());
    if (!stage.mesh().equals(Mesh.SINGLE)) {
      text.append(" mesh (").append(stage.mesh()).append(')');
    }
    text.append(" {\n");
    for (Pool pool : stage.pools()) {
      line(
          "pool "
              + GraphReader.print(pool.name())
              + " slots="
              + pool.slots()
              + (pool.kept() ? " kept" : ""));
    }
    stage.buffers().forEach(buffer -> buffer(stage, buffer));
    stage.fragments().forEach(fragment -> fragment(stage, fragment));
    for (int i = 0; i < stage.steps().size(); i++) {
      line("step " + i + ": " + step(stage, stage.steps().get(i)));
    }
    text.append("  }\n");
  }

  private void line(String line) {
    text.append("    ").append(line).append('\n');
  }

  private static String word(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private static String name(StageProgram stage, int buffer) {
    return "%" + GraphReader.print(stage.buffers().get(buffer).name());
  }

  private void buffer(StageProgram stage, Buffer buffer) {
    var line = new StringBuilder("buffer %");
    line.append(GraphReader.print(buffer.name())).append(": ").append(buffer.type());
    Layout layout = buffer.layout();
    if (!layout.splitAxes().isEmpty()) {
      line.append(' ').append(layout.spec());
    }
    if (layout.isPartial()) {
      line.append(
          new TreeMap<>(layout.partial())
              .entrySet().stream()
                  .map(axis -> axis.getKey() + "=" + axis.getValue())
                  .collect(Collectors.joining(", ", " partial (", ")")));
    }
    if (!buffer.local().equals(buffer.type())) {
      line.append(" local ").append(buffer.local());
    }
    line.append(' ').append(word(buffer.kind())).append(" in ");
    line.append(GraphReader.print(stage.pools().get(buffer.pool()).name()));
    line(line.toString());
  }

  private void fragment(StageProgram stage, Fragment fragment) {
    line(
        "fragment %s %s chunk=%d reads (%s) writes (%s)"
            .formatted(
                GraphReader.print(fragment.name()),
                word(fragment.work()),
                fragment.chunk(),
                names(stage, fragment.inputs()),
                names(stage, fragment.outputs())));
    GraphText.print(fragment.graph()).lines().forEach(line -> line("  " + line));
  }

  private static String names(StageProgram stage, List<Integer> buffers) {
    return buffers.stream().map(b -> name(stage, b)).collect(Collectors.joining(", "));
  }

  private static String step(StageProgram stage, Step step) {
    String what =
        switch (step) {
          case Step.Run run ->
              "run "
                  + GraphReader.print(stage.fragments().get(run.fragment()).name())
                  + microBatch(step)
                  + slots(stage, run);
          case Step.Feed feed ->
              "feed "
                  + GraphReader.print(stage.pools().get(feed.pool()).name())
                  + " slot="
                  + feed.slot()
                  + microBatch(step);
          case Step.Send send ->
              "send "
                  + name(stage, send.buffer())
                  + " slot="
                  + send.slot()
                  + " to="
                  + send.stage()
                  + microBatch(step);
          case Step.Receive receive ->
              "receive "
                  + name(stage, receive.buffer())
                  + " slot="
                  + receive.slot()
                  + " from="
                  + receive.stage()
                  + microBatch(step);
        };
    return step.awaits().isEmpty()
        ? what
        : what
            + step.awaits().stream()
                .map(String::valueOf)
                .collect(Collectors.joining(", ", " after (", ")"));
  }

  private static String microBatch(Step step) {
    return step.microBatch() == Step.ONCE ? " once" : " batch=" + step.microBatch();
  }

  /** The slots that are not the first. */
  private static String slots(StageProgram stage, Step.Run run) {
    var slots = new ArrayList<String>();
    for (int pool = 0; pool < run.slots().size(); pool++) {
      if (run.slots().get(pool) != 0) {
        slots.add(GraphReader.print(stage.pools().get(pool).name()) + "=" + run.slots().get(pool));
      }
    }
    return slots.isEmpty() ? "" : " in (" + String.join(", ", slots) + ")";
  }
}
