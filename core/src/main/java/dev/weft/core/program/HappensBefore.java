package dev.weft.core.program;

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

  /** By the numbers of steps, the one before in its queue; -1 for none. */
  private final int[] previous;

  private final int[] order;
  private final int[][] local;
  private final Map<Integer, int[]> global = new HashMap<>();

  /**
   * Puts all events in an order.
   *
   * @throws IllegalStateException if there is none: steps wait for each other
   */
  HappensBefore(Program program, Transfers transfers) {
    this.program = program;
    this.transfers = transfers;
    previous = new int[transfers.steps()];
    order = sorted();
    local = new int[program.stages().size()][];
    for (StageProgram stage : program.stages()) {
      local[stage.stage()] = local(stage);
    }
  }

  /** Events by number: a step begins at an even one and ends at the next. */
  private int begin(int stage, int step) {
    return 2 * transfers.number(stage, step);
  }

  private int end(int stage, int step) {
    return begin(stage, step) + 1;
  }

  private int[] sorted() {
    int steps = transfers.steps();
    // Who awaits each step: of step n those from place starts[n] to before starts[n + 1].
    int[] starts = new int[steps + 1];
    int[] following = new int[steps];
    Arrays.fill(following, -1);
    int[] open = new int[2 * steps];
    for (StageProgram stage : program.stages()) {
      int number = transfers.number(stage.stage(), 0);
      int offset = number;
      int[] last = new int[QUEUES];
      Arrays.fill(last, -1);
      for (Step step : stage.steps()) {
        int queue = step.queue().ordinal();
        previous[number] = last[queue];
        if (last[queue] >= 0) {
          following[last[queue]] = number;
        }
        last[queue] = number;
        List<Integer> awaits = step.awaits();
        for (int i = 0; i < awaits.size(); i++) {
          starts[offset + awaits.get(i) + 1]++;
        }
        open[2 * number] = awaits.size() + (previous[number] >= 0 ? 1 : 0);
        open[2 * number + 1] = transfers.counterpart(number) >= 0 ? 2 : 1;
        number++;
      }
    }
    for (int step = 0; step < steps; step++) {
      starts[step + 1] += starts[step];
    }
    int[] awaiting = new int[starts[steps]];
    int[] filled = starts.clone();
    for (StageProgram stage : program.stages()) {
      int number = transfers.number(stage.stage(), 0);
      int offset = number;
      for (Step step : stage.steps()) {
        List<Integer> awaits = step.awaits();
        for (int i = 0; i < awaits.size(); i++) {
          awaiting[filled[offset + awaits.get(i)]++] = number;
        }
        number++;
      }
    }
    // What is sorted already is the queue of what is still to be followed.
    int[] sorted = new int[2 * steps];
    int count = 0;
    for (int event = 0; event < 2 * steps; event += 2) {
      if (open[event] == 0) {
        sorted[count++] = event;
      }
    }
    for (int next = 0; next < count; next++) {
      int event = sorted[next];
      int step = event / 2;
      if (event % 2 == 0) {
        int other = transfers.counterpart(step);
        if (--open[event + 1] == 0) {
          sorted[count++] = event + 1;
        }
        if (other >= 0 && --open[2 * other + 1] == 0) {
          sorted[count++] = 2 * other + 1;
        }
      } else {
        int after = following[step];
        if (after >= 0 && --open[2 * after] == 0) {
          sorted[count++] = 2 * after;
        }
        for (int i = starts[step]; i < starts[step + 1]; i++) {
          if (--open[2 * awaiting[i]] == 0) {
            sorted[count++] = 2 * awaiting[i];
          }
        }
      }
    }
    if (count < sorted.length) {
      throw deadlock(open);
    }
    return sorted;
  }

  private StageProgram stageOf(int event) {
    int stage = 0;
    while (begin(stage + 1, 0) <= event) {
      stage++;
    }
    return program.stages().get(stage);
  }

  /** The events that come right before another. */
  private int[] before(StageProgram stage, int event) {
    int number = event / 2;
    if (event % 2 != 0) {
      int other = transfers.counterpart(number);
      return other < 0 ? new int[] {event - 1} : new int[] {event - 1, 2 * other};
    }
    List<Integer> awaits = stage.steps().get(number - transfers.number(stage.stage(), 0)).awaits();
    boolean first = previous[number] < 0;
    int[] before = new int[awaits.size() + (first ? 0 : 1)];
    for (int i = 0; i < awaits.size(); i++) {
      before[i] = end(stage.stage(), awaits.get(i));
    }
    if (!first) {
      before[awaits.size()] = 2 * previous[number] + 1;
    }
    return before;
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
      for (int earlier : before(stageOf(event), event)) {
        if (open[earlier] > 0) {
          event = earlier;
          break;
        }
      }
    }
    for (int member : path.subList(path.indexOf(event), path.size()).reversed()) {
      StageProgram stage = stageOf(member);
      int step = (member - begin(stage.stage(), 0)) / 2;
      waiting.add("stage " + stage.stage() + " step " + step + " " + stage.steps().get(step));
    }
    return new IllegalStateException(
        program.name() + ": steps wait for each other: " + String.join(" <- ", waiting));
  }

  /** Whether a step of a stage has certainly ended before another begins. */
  boolean isBefore(StageProgram stage, int first, int second) {
    int place = second * QUEUES + stage.steps().get(first).queue().ordinal();
    if (local[stage.stage()][place] >= first) {
      return true;
    }
    // Seldom: only by way of another stage.
    return global.computeIfAbsent(stage.stage(), _ -> everywhere(stage))[place] >= first;
  }

  /**
   * For each step and queue of a stage the last step that has ended when it begins, as follows from
   * the stage alone: its steps stand behind all that they await.
   */
  private int[] local(StageProgram stage) {
    int offset = transfers.number(stage.stage(), 0);
    int[] ended = new int[stage.steps().size() * QUEUES];
    Arrays.fill(ended, -1);
    for (int i = 0; i < stage.steps().size(); i++) {
      Step step = stage.steps().get(i);
      if (previous[offset + i] >= 0) {
        include(ended, i, previous[offset + i] - offset, step.queue().ordinal());
      }
      List<Integer> awaits = step.awaits();
      for (int j = 0; j < awaits.size(); j++) {
        int awaited = awaits.get(j);
        include(ended, i, awaited, stage.steps().get(awaited).queue().ordinal());
      }
    }
    return ended;
  }

  /** A step knows what one that it awaits has known, and that it has ended. */
  private static void include(int[] ended, int step, int awaited, int queue) {
    for (int i = 0; i < QUEUES; i++) {
      int known = ended[awaited * QUEUES + i];
      if (known > ended[step * QUEUES + i]) {
        ended[step * QUEUES + i] = known;
      }
    }
    ended[step * QUEUES + queue] = Math.max(ended[step * QUEUES + queue], awaited);
  }

  /** The same, as follows from all stages. */
  private int[] everywhere(StageProgram stage) {
    int from = begin(stage.stage(), 0);
    int to = begin(stage.stage() + 1, 0);
    int[][] ended = new int[order.length][];
    int[] atBegin = new int[stage.steps().size() * QUEUES];
    for (int event : order) {
      boolean own = event >= from && event < to;
      int[] last = new int[QUEUES];
      Arrays.fill(last, -1);
      for (int earlier : before(own ? stage : stageOf(event), event)) {
        int[] known = ended[earlier];
        for (int queue = 0; queue < QUEUES; queue++) {
          last[queue] = Math.max(last[queue], known[queue]);
        }
      }
      if (own) {
        int step = (event - from) / 2;
        if ((event - from) % 2 == 0) {
          System.arraycopy(last, 0, atBegin, step * QUEUES, QUEUES);
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
