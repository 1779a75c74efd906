package dev.weft.core.program;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a step does to one buffer in one slot. Memory that is only taken over is written, not read.
 */
record Access(int buffer, int slot, boolean reads, boolean writes) {
  /** Is told what steps do to buffers. */
  @FunctionalInterface
  interface Visitor {
    void visit(int step, int buffer, int slot, boolean reads, boolean writes);
  }

  /** Goes through what the steps of a stage do, one after another. */
  static void visit(StageProgram stage, Visitor visitor) {
    List<List<Access>> byFragment = stage.fragments().stream().map(Access::of).toList();
    List<Buffer> buffers = stage.buffers();
    int number = 0;
    for (Step step : stage.steps()) {
      switch (step) {
        case Step.Run run -> {
          for (Access access : byFragment.get(run.fragment())) {
            int slot = run.slots().get(buffers.get(access.buffer).pool());
            visitor.visit(number, access.buffer, slot, access.reads, access.writes);
          }
        }
        case Step.Feed feed -> {
          for (int buffer = 0; buffer < buffers.size(); buffer++) {
            Buffer fed = buffers.get(buffer);
            if (fed.pool() == feed.pool() && StageBuilder.isFed(fed)) {
              visitor.visit(number, buffer, feed.slot(), false, true);
            }
          }
        }
        case Step.Send send -> visitor.visit(number, send.buffer(), send.slot(), true, false);
        case Step.Receive receive ->
            visitor.visit(number, receive.buffer(), receive.slot(), false, true);
      }
      number++;
    }
  }

  /** What each step of a stage does. */
  static List<List<Access>> of(StageProgram stage) {
    var all = new ArrayList<List<Access>>();
    stage.steps().forEach(_ -> all.add(new ArrayList<>()));
    visit(
        stage,
        (step, buffer, slot, reads, writes) ->
            all.get(step).add(new Access(buffer, slot, reads, writes)));
    return all;
  }

  /** What a fragment does, each buffer once, in whatever slot. */
  private static List<Access> of(Fragment fragment) {
    Graph graph = fragment.graph();
    Set<Value> read = new HashSet<>(graph.outputValues());
    for (Node node : graph.nodes()) {
      read.addAll(node.inputs());
    }
    Map<Integer, Access> accesses = new LinkedHashMap<>();
    for (int i = 0; i < graph.inputs().size(); i++) {
      boolean reads = read.contains(graph.inputs().get(i).value());
      int buffer = fragment.inputs().get(i);
      accesses.merge(buffer, new Access(buffer, 0, reads, false), Access::and);
    }
    for (int buffer : fragment.outputs()) {
      accesses.merge(buffer, new Access(buffer, 0, false, true), Access::and);
    }
    return List.copyOf(accesses.values());
  }

  private Access and(Access other) {
    return new Access(buffer, slot, reads || other.reads, writes || other.writes);
  }
}
