package dev.weft.runtime.worker;

import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.SlotUse;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Timeline;
import dev.weft.runtime.collective.CollectiveTimes;
import java.util.ArrayList;
import java.util.List;

/** When everything happened in one run of a program. */
public final class RunRecord {
  private static final double NANOS = 1e-9;

  private final Program program;
  private final StepTimes steps;
  private final List<List<CollectiveTimes>> collectives;
  private final long begin;

  /**
   * A record.
   *
   * @param collectives by stage and device
   * @param begin of the run, by {@link System#nanoTime}
   */
  RunRecord(Program program, StepTimes steps, List<List<CollectiveTimes>> collectives, long begin) {
    this.program = program;
    this.steps = steps;
    this.collectives = List.copyOf(collectives);
    this.begin = begin;
  }

  public Program program() {
    return program;
  }

  /** When the run began, by {@link System#nanoTime}. */
  public long begin() {
    return begin;
  }

  /**
   * All that every queue of every device did, in seconds, under the program's name; gaps are waits.
   * A transfer is there while bytes are copied, a collective from the device's own beginning on.
   *
   * @param origin what counts as time 0, by {@link System#nanoTime}
   */
  public Timeline timeline(long origin) {
    var events = new ArrayList<Timeline.Event>();
    var waits = new ArrayList<Timeline.Wait>();
    var levels = new ArrayList<Timeline.Level>();
    for (StageProgram stage : program.stages()) {
      int number = stage.stage();
      List<String> names = stage.steps().stream().map(s -> Timeline.name(stage, s)).toList();
      for (int device = 0; device < stage.mesh().size(); device++) {
        for (int i = 0; i < names.size(); i++) {
          events.add(
              new Timeline.Event(
                  number,
                  device,
                  stage.steps().get(i).queue(),
                  names.get(i),
                  (steps.began(number, i, device) - origin) * NANOS,
                  (steps.ended(number, i, device) - origin) * NANOS));
        }
        CollectiveTimes own = collectives.get(number).get(device);
        for (CollectiveTimes.Span span : own.underWay()) {
          events.add(
              new Timeline.Event(
                  number,
                  device,
                  Queue.COLLECTIVE,
                  span.name(),
                  (span.began() - origin) * NANOS,
                  (span.ended() - origin) * NANOS));
        }
        for (CollectiveTimes.Span span : own.waits()) {
          waits.add(
              new Timeline.Wait(
                  number,
                  device,
                  (span.began() - origin) * NANOS,
                  (span.ended() - origin) * NANOS));
        }
        levels.addAll(levels(stage, device, origin));
      }
    }
    return new Timeline(program.name(), events, waits, levels);
  }

  private List<Timeline.Level> levels(StageProgram stage, int device, long origin) {
    List<Step> own = stage.steps();
    double[] starts = new double[own.size()];
    double[] ends = new double[own.size()];
    for (int i = 0; i < own.size(); i++) {
      starts[i] = (steps.began(stage.stage(), i, device) - origin) * NANOS;
      ends[i] = (steps.ended(stage.stage(), i, device) - origin) * NANOS;
    }
    return SlotUse.levels(stage, program.microBatches(), starts, ends).stream()
        .map(
            level ->
                new Timeline.Level(
                    level.stage(),
                    device,
                    Math.max(level.time(), (begin - origin) * NANOS),
                    level.bytes()))
        .toList();
  }
}
