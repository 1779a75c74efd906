package dev.weft.core.program;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What is certain about the order of steps. A step begins after the one before it in its queue and
 * after all that it awaits; a send and its receive both have begun before either ends.
 */
final class HappensBefore {
  private static final int QUEUES = Queue.values().length;

  private final Program program;
  private final Transfers transfers;

  private final int[] order;
  private final int[][] before;
  private final Map<Integer, int[][]> local = new HashMap<>();
  private final Map<Integer, int[][]> global = new HashMap<>();

  /**
   * Puts all events in an order.
   *
   * @throws IllegalStateException if there is none: steps wait for each other
   */
  HappensBefore(Program program, Transfers transfers) {
    this.program = program;
    this.transfers = transfers;
    before = new int[2 * transfers.steps()][];
    for (StageProgram stage : program.stages()) {
      edges(stage);
    }
    order = sorted();
  }

  private void edges(StageProgram stage) {
    int[] last = new int[QUEUES];
    Arrays.fill(last, -1);
    for (int i = 0; i < stage.steps().size(); i++) {
      Step step = stage.steps().get(i);
      var begin = new ArrayList<Integer>();
      int queue = step.queue().ordinal();
      if (last[queue] >= 0) {
        begin.add(end(stage.stage(), last[queue]));
      }
      last[queue] = i;
      step.awaits().forEach(awaited -> begin.add(end(stage.stage(), awaited)));
      before[begin(stage.stage(), i)] = array(begin);
      var end = new ArrayList<>(List.of(begin(stage.stage(), i)));
      int other = transfers.counterpart(transfers.number(stage.stage(), i));
      if (other >= 0) {
        end.add(2 * other);
      }
      before[end(stage.stage(), i)] = array(end);
    }
  }

  private static int[] array(List<Integer> events) {
    return events.stream().mapToInt(Integer::intValue).toArray();
  }

  /** Events by number: a step begins at an even one and ends at the next. */
  private int begin(int stage, int step) {
    return 2 * transfers.number(stage, step);
  }

  private int end(int stage, int step) {
    return begin(stage, step) + 1;
  }

  private int[] sorted() {
    int events = before.length;
    int[] open = new int[events];
    int[] starts = new int[events + 1];
    for (int event = 0; event < events; event++) {
      open[event] = before[event].length;
      for (int earlier : before[event]) {
        starts[earlier + 1]++;
      }
    }
    for (int event = 0; event < events; event++) {
      starts[event + 1] += starts[event];
    }
    int[] after = new int[starts[events]];
    int[] filled = starts.clone();
    for (int event = 0; event < events; event++) {
      for (int earlier : before[event]) {
        after[filled[earlier]++] = event;
      }
    }
    int[] sorted = new int[events];
    int count = 0;
    var ready = new ArrayDeque<Integer>();
    for (int event = 0; event < events; event++) {
      if (open[event] == 0) {
        ready.add(event);
      }
    }
    while (!ready.isEmpty()) {
      int event = ready.remove();
      sorted[count++] = event;
      for (int i = starts[event]; i < starts[event + 1]; i++) {
        if (--open[after[i]] == 0) {
          ready.add(after[i]);
        }
      }
    }
    if (count < events) {
      throw deadlock(open);
    }
    return sorted;
  }

  private IllegalStateException deadlock(int[] open) {
    var waiting = new ArrayList<String>();
    int event = 0;
    while (open[event] == 0) {
      event++;
    }
    // Whoever is not reached waits for another that is not: going back ends in a circle.
    var path = new ArrayList<Integer>();
    while (!path.contains(event)) {
      path.add(event);
      for (int earlier : before[event]) {
        if (open[earlier] > 0) {
          event = earlier;
          break;
        }
      }
    }
    for (int member : path.subList(path.indexOf(event), path.size()).reversed()) {
      int stage = 0;
      while (begin(stage + 1, 0) <= member) {
        stage++;
      }
      int step = (member - begin(stage, 0)) / 2;
      waiting.add(
          "stage " + stage + " step " + step + " " + program.stages().get(stage).steps().get(step));
    }
    return new IllegalStateException(
        program.name() + ": steps wait for each other: " + String.join(" <- ", waiting));
  }

  /** Whether a step of a stage has certainly ended before another begins. */
  boolean isBefore(StageProgram stage, int first, int second) {
    int number = stage.stage();
    int queue = stage.steps().get(first).queue().ordinal();
    int[][] own = local.computeIfAbsent(number, _ -> known(stage, false));
    if (own[second][queue] >= first) {
      return true;
    }
    // Seldom: only by way of another stage.
    int[][] all = global.computeIfAbsent(number, _ -> known(stage, true));
    return all[second][queue] >= first;
  }

  /** For each step and queue of a stage the last step that has ended when it begins. */
  private int[][] known(StageProgram stage, boolean everywhere) {
    int from = begin(stage.stage(), 0);
    int to = begin(stage.stage() + 1, 0);
    int[][] ended = new int[before.length][];
    int[][] atBegin = new int[stage.steps().size()][];
    for (int event : order) {
      boolean own = event >= from && event < to;
      if (!own && !everywhere) {
        continue;
      }
      int[] last = new int[QUEUES];
      Arrays.fill(last, -1);
      for (int earlier : before[event]) {
        int[] known = ended[earlier];
        for (int queue = 0; known != null && queue < QUEUES; queue++) {
          last[queue] = Math.max(last[queue], known[queue]);
        }
      }
      if (own) {
        int step = (event - from) / 2;
        if ((event - from) % 2 == 0) {
          atBegin[step] = last.clone();
        } else {
          int queue = stage.steps().get(step).queue().ordinal();
          last[queue] = Math.max(last[queue], step);
        }
      }
      ended[event] = last;
    }
    return atBegin;
  }
}
