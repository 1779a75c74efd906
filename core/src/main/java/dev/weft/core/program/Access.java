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
  /** What each step of a stage does. */
  static List<List<Access>> of(StageProgram stage) {
    List<Map<Integer, Access>> byFragment = stage.fragments().stream().map(Access::of).toList();
    var all = new ArrayList<List<Access>>();
    for (Step step : stage.steps()) {
      var own = new ArrayList<Access>();
      switch (step) {
        case Step.Run run ->
            byFragment
                .get(run.fragment())
                .forEach(
                    (buffer, access) -> {
                      int slot = run.slots().get(stage.buffers().get(buffer).pool());
                      own.add(new Access(buffer, slot, access.reads(), access.writes()));
                    });
        case Step.Feed feed -> {
          for (int buffer = 0; buffer < stage.buffers().size(); buffer++) {
            Buffer fed = stage.buffers().get(buffer);
            if (fed.pool() == feed.pool() && StageBuilder.isFed(fed)) {
              own.add(new Access(buffer, feed.slot(), false, true));
            }
          }
        }
        case Step.Send send -> own.add(new Access(send.buffer(), send.slot(), true, false));
        case Step.Receive receive ->
            own.add(new Access(receive.buffer(), receive.slot(), false, true));
      }
      all.add(own);
    }
    return all;
  }

  private static Map<Integer, Access> of(Fragment fragment) {
    Graph graph = fragment.graph();
    Set<Value> read = new HashSet<>(graph.outputValues());
    for (Node node : graph.nodes()) {
      read.addAll(node.inputs());
    }
    var accesses = new LinkedHashMap<Integer, Access>();
    for (int i = 0; i < graph.inputs().size(); i++) {
      boolean reads = read.contains(graph.inputs().get(i).value());
      accesses.merge(fragment.inputs().get(i), new Access(-1, 0, reads, false), Access::and);
    }
    for (int buffer : fragment.outputs()) {
      accesses.merge(buffer, new Access(-1, 0, false, true), Access::and);
    }
    return accesses;
  }

  private Access and(Access other) {
    return new Access(buffer, slot, reads || other.reads, writes || other.writes);
  }
}
