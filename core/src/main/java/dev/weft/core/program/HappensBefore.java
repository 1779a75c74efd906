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

  /** The first event of each stage: step i begins at {@code base + 2 i} and ends right after. */
  private final int[] bases;

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
    bases = new int[program.stages().size() + 1];
    for (int stage = 0; stage < program.stages().size(); stage++) {
      bases[stage + 1] = bases[stage] + 2 * program.stages().get(stage).steps().size();
    }
    before = new int[bases[program.stages().size()]][];
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
      if (step instanceof Step.Send) {
        Transfers.At other = transfers.receiver(stage.stage(), i);
        end.add(begin(other.stage(), other.step()));
      } else if (step instanceof Step.Receive) {
        Transfers.At other = transfers.sender(stage.stage(), i);
        end.add(begin(other.stage(), other.step()));
      }
      before[end(stage.stage(), i)] = array(end);
    }
  }

  private static int[] array(List<Integer> events) {
    return events.stream().mapToInt(Integer::intValue).toArray();
  }

  private int begin(int stage, int step) {
    return bases[stage] + 2 * step;
  }

  private int end(int stage, int step) {
    return bases[stage] + 2 * step + 1;
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
      while (bases[stage + 1] <= member) {
        stage++;
      }
      int step = (member - bases[stage]) / 2;
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
    int from = bases[stage.stage()];
    int to = bases[stage.stage() + 1];
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
