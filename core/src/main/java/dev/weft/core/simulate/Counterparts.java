package dev.weft.core.simulate;

import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Which send is for which receive. Steps of all stages are numbered through, those of a stage from
 * its offset on.
 *
 * @param offsets of the stages, and the number of all steps
 * @param counterparts for a send its receive, for a receive its send; -1 for all others
 */
record Counterparts(int[] offsets, int[] of) {
  private record Channel(String name, int from, int to) {}

  /**
   * Matches all sends and receives.
   *
   * @throws IllegalStateException if one is without the other, or comes twice
   */
  static Counterparts of(Program program) {
    List<StageProgram> stages = program.stages();
    int[] offsets = new int[stages.size() + 1];
    for (int stage = 0; stage < stages.size(); stage++) {
      offsets[stage + 1] = Math.addExact(offsets[stage], stages.get(stage).steps().size());
    }
    int[] counterparts = new int[offsets[stages.size()]];
    Arrays.fill(counterparts, -1);
    // Of each channel and micro-batch the one that came first; the last place is for once per step.
    Map<Channel, int[]> open = new HashMap<>();
    int matched = 0;
    int seen = 0;
    for (StageProgram stage : stages) {
      int number = offsets[stage.stage()];
      for (Step step : stage.steps()) {
        Channel channel =
            switch (step) {
              case Step.Send send ->
                  new Channel(
                      stage.buffers().get(send.buffer()).name(), stage.stage(), send.stage());
              case Step.Receive receive ->
                  new Channel(
                      stage.buffers().get(receive.buffer()).name(), receive.stage(), stage.stage());
              case Step.Run _, Step.Feed _ -> null;
            };
        if (channel != null) {
          int[] first = open.get(channel);
          if (first == null) {
            first = new int[program.microBatches() + 1];
            Arrays.fill(first, -1);
            open.put(channel, first);
          }
          int place = step.microBatch() == Step.ONCE ? program.microBatches() : step.microBatch();
          seen++;
          if (first[place] < 0) {
            first[place] = number;
          } else {
            boolean twice =
                counterparts[first[place]] >= 0
                    || first[place] >= offsets[stage.stage()]
                        && stage.steps().get(first[place] - offsets[stage.stage()]).queue()
                            == step.queue();
            if (twice) {
              throw new IllegalStateException(channel + " twice for " + step.microBatch());
            }
            counterparts[first[place]] = number;
            counterparts[number] = first[place];
            matched += 2;
          }
        }
        number++;
      }
    }
    if (matched != seen) {
      for (StageProgram stage : stages) {
        for (int i = 0; i < stage.steps().size(); i++) {
          Step step = stage.steps().get(i);
          boolean moves = step instanceof Step.Send || step instanceof Step.Receive;
          if (moves && counterparts[offsets[stage.stage()] + i] < 0) {
            throw new IllegalStateException("stage " + stage.stage() + ": nobody answers " + step);
          }
        }
      }
    }
    return new Counterparts(offsets, counterparts);
  }
}
