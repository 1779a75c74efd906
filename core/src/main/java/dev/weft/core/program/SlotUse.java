package dev.weft.core.program;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;

/** What devices have in use of the memory that a program sets aside, over time. */
public final class SlotUse {
  private SlotUse() {}

  /**
   * How many bytes each device of a stage uses, whenever that changes: a slot of a pool is in use
   * from the first step on a micro-batch that touches it to the end of the last.
   *
   * @param microBatches of the program
   * @param starts when each step of the stage began
   * @param ends when it ended
   */
  public static List<Timeline.Level> levels(
      StageProgram stage, int microBatches, double[] starts, double[] ends) {
    int pools = stage.pools().size();
    long[] slot = new long[pools];
    stage.buffers().forEach(buffer -> slot[buffer.pool()] += buffer.local().bytes());
    int[][] touched =
        stage.fragments().stream()
            .map(
                fragment ->
                    Stream.concat(fragment.inputs().stream(), fragment.outputs().stream())
                        .mapToInt(buffer -> stage.buffers().get(buffer).pool())
                        .distinct()
                        .toArray())
            .toArray(int[][]::new);
    int places = microBatches + 1;
    double[] from = new double[pools * places];
    double[] to = new double[pools * places];
    Arrays.fill(from, Double.POSITIVE_INFINITY);
    for (int i = 0; i < stage.steps().size(); i++) {
      Step step = stage.steps().get(i);
      int[] used =
          switch (step) {
            case Step.Run run -> touched[run.fragment()];
            case Step.Feed feed -> new int[] {feed.pool()};
            case Step.Send send -> new int[] {stage.buffers().get(send.buffer()).pool()};
            case Step.Receive receive -> new int[] {stage.buffers().get(receive.buffer()).pool()};
          };
      int place = step.microBatch() == Step.ONCE ? places - 1 : step.microBatch();
      for (int pool : used) {
        int at = pool * places + place;
        from[at] = Math.min(from[at], starts[i]);
        to[at] = Math.max(to[at], ends[i]);
      }
    }
    // Releases come before takes at one time.
    var changes = new TreeMap<Double, long[]>();
    long kept = 0;
    for (int pool = 0; pool < pools; pool++) {
      if (stage.pools().get(pool).kept()) {
        kept += slot[pool];
        continue;
      }
      for (int place = 0; place < places; place++) {
        int at = pool * places + place;
        if (from[at] < Double.POSITIVE_INFINITY) {
          changes.computeIfAbsent(from[at], _ -> new long[1])[0] += slot[pool];
          changes.computeIfAbsent(to[at], _ -> new long[1])[0] -= slot[pool];
        }
      }
    }
    var levels = new ArrayList<Timeline.Level>();
    levels.add(new Timeline.Level(stage.stage(), 0, 0, kept));
    long used = kept;
    for (var change : changes.entrySet()) {
      used += change.getValue()[0];
      levels.add(new Timeline.Level(stage.stage(), 0, change.getKey(), used));
    }
    return levels;
  }
}
