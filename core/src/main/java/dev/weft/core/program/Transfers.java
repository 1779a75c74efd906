package dev.weft.core.program;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Which step receives what another sends. The steps of all stages are numbered through, so that
 * programs of millions of steps can be gone through without a hash per step.
 */
public final class Transfers {
  /** A step of a stage. */
  public record At(int stage, int step) {}

  private record Channel(String name, int from, int to) {}

  private final Program program;

  /** The number of the first step of each stage, then that of all steps. */
  private final int[] offsets;

  /** For a send its receive, for a receive its send; -1 for all others. */
  private final int[] counterparts;

  private Transfers(Program program, int[] offsets, int[] counterparts) {
    this.program = program;
    this.offsets = offsets;
    this.counterparts = counterparts;
  }

  /**
   * Finds all transfers of a program whose stages stand at their places.
   *
   * @throws IllegalStateException if something is sent and not received, received and not sent, or
   *     either twice
   */
  public static Transfers of(Program program) {
    List<StageProgram> stages = program.stages();
    int[] offsets = new int[stages.size() + 1];
    for (int stage = 0; stage < stages.size(); stage++) {
      offsets[stage + 1] = Math.addExact(offsets[stage], stages.get(stage).steps().size());
    }
    int[] counterparts = new int[offsets[stages.size()]];
    Arrays.fill(counterparts, -1);
    var transfers = new Transfers(program, offsets, counterparts);
    if (!transfers.match()) {
      throw transfers.unanswered();
    }
    return transfers;
  }

  /** Whether all sends and receives have found each other. */
  private boolean match() {
    // Of each channel and micro-batch the one that came first; the last place is for once per step.
    Map<Channel, int[]> open = new HashMap<>();
    int matched = 0;
    int seen = 0;
    for (StageProgram stage : program.stages()) {
      int number = offsets[stage.stage()];
      var known = new Known(stage, open);
      for (Step step : stage.steps()) {
        int[] first =
            switch (step) {
              case Step.Send send -> known.open(send.buffer(), stage.stage(), send.stage());
              case Step.Receive receive ->
                  known.open(receive.buffer(), receive.stage(), stage.stage());
              case Step.Run _, Step.Feed _ -> null;
            };
        if (first != null) {
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
              throw new IllegalStateException(
                  program.name() + ": " + channel(stage, step) + " twice for " + step.microBatch());
            }
            counterparts[first[place]] = number;
            counterparts[number] = first[place];
            matched += 2;
          }
        }
        number++;
      }
    }
    return matched == seen;
  }

  /** The channels of a stage. Most buffers are always sent to, or received from, one other. */
  private final class Known {
    private final StageProgram stage;
    private final Map<Channel, int[]> open;
    private final List<Latest> latest;

    private record Latest(int from, int to, int[] open) {}

    private static final Latest NOBODY = new Latest(-1, -1, new int[0]);

    Known(StageProgram stage, Map<Channel, int[]> open) {
      this.stage = stage;
      this.open = open;
      latest = new ArrayList<>(Collections.nCopies(stage.buffers().size(), NOBODY));
    }

    /** The first steps of a channel, by micro-batch; -1 where there is none yet. */
    int[] open(int buffer, int from, int to) {
      Latest known = latest.get(buffer);
      if (known.from() != from || known.to() != to) {
        var channel = new Channel(stage.buffers().get(buffer).name(), from, to);
        known = new Latest(from, to, open.computeIfAbsent(channel, _ -> none()));
        latest.set(buffer, known);
      }
      return known.open();
    }

    private int[] none() {
      int[] first = new int[program.microBatches() + 1];
      Arrays.fill(first, -1);
      return first;
    }
  }

  private static @Nullable Channel channel(StageProgram stage, Step step) {
    return switch (step) {
      case Step.Send send ->
          new Channel(stage.buffers().get(send.buffer()).name(), stage.stage(), send.stage());
      case Step.Receive receive ->
          new Channel(stage.buffers().get(receive.buffer()).name(), receive.stage(), stage.stage());
      case Step.Run _, Step.Feed _ -> null;
    };
  }

  private IllegalStateException unanswered() {
    for (StageProgram stage : program.stages()) {
      for (int i = 0; i < stage.steps().size(); i++) {
        if (channel(stage, stage.steps().get(i)) != null
            && counterpart(number(stage.stage(), i)) < 0) {
          return StageCheck.failure(program, stage, i, "nobody answers");
        }
      }
    }
    return new IllegalStateException(program.name() + ": transfers were counted wrongly");
  }

  /** How many steps all stages have together. */
  public int steps() {
    return counterparts.length;
  }

  /** The number of a stage's step among those of all stages. */
  public int number(int stage, int step) {
    return offsets[stage] + step;
  }

  /** By numbers: for a send its receive, for a receive its send; -1 for all others. */
  public int counterpart(int number) {
    return counterparts[number];
  }

  /** Who receives what a step sends. */
  public At receiver(int stage, int send) {
    var step = (Step.Send) program.stages().get(stage).steps().get(send);
    return at(step.stage(), counterpart(number(stage, send)));
  }

  /** Who sends what a step receives. */
  public At sender(int stage, int receive) {
    var step = (Step.Receive) program.stages().get(stage).steps().get(receive);
    return at(step.stage(), counterpart(number(stage, receive)));
  }

  private At at(int stage, int number) {
    return new At(stage, number - offsets[stage]);
  }
}
