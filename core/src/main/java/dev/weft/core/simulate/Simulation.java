package dev.weft.core.simulate;

import dev.weft.core.program.Action;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.SlotUse;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Timeline;
import dev.weft.core.program.Transfers;
import dev.weft.core.program.Work;
import dev.weft.core.simulate.CostModel.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a simulated run came to. Times are seconds or units of cost. */
public final class Simulation {
  private final Program program;
  private final Transfers transfers;
  private final Duration[][] durations;
  private final double[] starts;
  private final double[] ends;
  private final double makespan;

  Simulation(
      Program program,
      Transfers transfers,
      Duration[][] durations,
      double[] starts,
      double[] ends) {
    this.program = program;
    this.transfers = transfers;
    this.durations = durations;
    this.starts = starts;
    this.ends = ends;
    makespan = Arrays.stream(ends).max().orElse(0);
  }

  /**
   * A stage as a whole.
   *
   * @param devices all alike
   * @param busy how long each device computes, collectives in fragments included
   * @param peakLive the most micro-batches whose forward has begun and whose backward (or input
   *     gradient) has not ended; each chunk's count by themselves
   * @param peakHeld the same until the gradient of weights has ended
   * @param exposed how long each device does nothing but wait for data that is under way, or for
   *     collectives
   */
  public record StageUse(
      int stage, int devices, double busy, int peakLive, int peakHeld, double exposed) {}

  /**
   * What goes from one stage to another.
   *
   * @param bytes of all devices together
   */
  public record LinkUse(int from, int to, long bytes) {}

  public Program program() {
    return program;
  }

  /** From the beginning until the last step has ended. */
  public double makespan() {
    return makespan;
  }

  /** The share of all devices' time in which they do not compute. */
  public double bubble() {
    double busy = 0;
    double devices = 0;
    for (StageProgram stage : program.stages()) {
      busy += busy(stage) * stage.mesh().size();
      devices += stage.mesh().size();
    }
    return makespan == 0 ? 0 : 1 - busy / (devices * makespan);
  }

  /** Every stage as a whole. */
  public List<StageUse> stages() {
    return program.stages().stream().map(this::use).toList();
  }

  private StageUse use(StageProgram stage) {
    return new StageUse(
        stage.stage(),
        stage.mesh().size(),
        busy(stage),
        peak(stage, Work.INPUT_GRADIENT),
        peak(stage, Work.WEIGHT_GRADIENT),
        exposed(stage));
  }

  /** What every stage computes for micro-batches, in order. */
  public List<List<Action>> order() {
    return program.stages().stream().map(stage -> order(stage.stage())).toList();
  }

  /** What a stage computes for micro-batches, in order. */
  public List<Action> order(int number) {
    StageProgram stage = program.stages().get(number);
    var actions = new ArrayList<Action>();
    for (Step step : stage.steps()) {
      if (step instanceof Step.Run run && run.microBatch() != Step.ONCE) {
        Fragment fragment = stage.fragments().get(run.fragment());
        actions.add(new Action(fragment.work(), run.microBatch(), fragment.chunk()));
      }
    }
    return actions;
  }

  private double busy(StageProgram stage) {
    int offset = transfers.number(stage.stage(), 0);
    double busy = 0;
    for (int i = 0; i < stage.steps().size(); i++) {
      if (stage.steps().get(i) instanceof Step.Run) {
        busy += ends[offset + i] - starts[offset + i];
      }
    }
    return busy;
  }

  /** The most forwards that have no backward yet, or no last part of it. */
  private static int peak(StageProgram stage, Work last) {
    int live = 0;
    int peak = 0;
    for (Step step : stage.steps()) {
      if (step instanceof Step.Run run && run.microBatch() != Step.ONCE) {
        Work work = stage.fragments().get(run.fragment()).work();
        if (work == Work.FORWARD) {
          peak = Math.max(peak, ++live);
        } else if (work == Work.BACKWARD || work == last) {
          live--;
        }
      }
    }
    return peak;
  }

  /** Gaps between runs while a transfer is under way that ends the gap; collectives in runs. */
  private double exposed(StageProgram stage) {
    int offset = transfers.number(stage.stage(), 0);
    double exposed = 0;
    double free = 0;
    for (int i = 0; i < stage.steps().size(); i++) {
      if (stage.steps().get(i) instanceof Step.Run run) {
        double underWay = free;
        double begun = starts[offset + i];
        for (int awaited : run.awaits()) {
          int number = offset + awaited;
          int counterpart = transfers.counterpart(number);
          if (counterpart >= 0 && ends[number] >= begun && begun > free) {
            underWay = Math.max(free, Math.min(starts[number], starts[counterpart]));
            exposed += begun - Math.min(begun, underWay);
            break;
          }
        }
        exposed += durations[stage.stage()][run.fragment()].communication();
        free = ends[offset + i];
      }
    }
    return exposed;
  }

  /** What goes between stages, by sender, then receiver. */
  public List<LinkUse> links() {
    Map<Integer, Map<Integer, Long>> bytes = new TreeMap<>();
    for (StageProgram stage : program.stages()) {
      for (Step step : stage.steps()) {
        if (step instanceof Step.Send send) {
          bytes
              .computeIfAbsent(stage.stage(), _ -> new TreeMap<>())
              .merge(
                  send.stage(),
                  stage.buffers().get(send.buffer()).local().bytes() * stage.mesh().size(),
                  Long::sum);
        }
      }
    }
    return bytes.entrySet().stream()
        .flatMap(
            from ->
                from.getValue().entrySet().stream()
                    .map(to -> new LinkUse(from.getKey(), to.getKey(), to.getValue())))
        .toList();
  }

  /**
   * How many bytes each device of a stage uses, whenever that changes: a slot of a pool is in use
   * from the first step on a micro-batch that touches it to the end of the last.
   */
  public List<Timeline.Level> memory(int stage) {
    int from = transfers.number(stage, 0);
    int to = from + program.stages().get(stage).steps().size();
    return SlotUse.levels(
        program.stages().get(stage),
        program.microBatches(),
        Arrays.copyOfRange(starts, from, to),
        Arrays.copyOfRange(ends, from, to));
  }

  /**
   * All steps of all stages but those that take no time, the collectives of fragments, and the
   * memory of every stage. Where all these are more than viewers can show collectives are left out.
   */
  public Timeline timeline(String title) {
    var events = new ArrayList<Timeline.Event>();
    var collectives = new ArrayList<Timeline.Event>();
    var waits = new ArrayList<Timeline.Wait>();
    var levels = new ArrayList<Timeline.Level>();
    for (StageProgram stage : program.stages()) {
      int offset = transfers.number(stage.stage(), 0);
      for (int i = 0; i < stage.steps().size(); i++) {
        Step step = stage.steps().get(i);
        if (ends[offset + i] > starts[offset + i]) {
          events.add(
              new Timeline.Event(
                  stage.stage(),
                  0,
                  step.queue(),
                  Timeline.name(stage, step),
                  starts[offset + i],
                  ends[offset + i]));
        }
        if (step instanceof Step.Run run) {
          Duration duration = durations[stage.stage()][run.fragment()];
          double begin = starts[offset + i];
          // Where the pace varies, what is in a fragment is stretched with it.
          double stretch = duration.time() > 0 ? (ends[offset + i] - begin) / duration.time() : 1;
          for (CostModel.Span span : duration.waits()) {
            waits.add(
                new Timeline.Wait(
                    stage.stage(),
                    0,
                    begin + stretch * span.start(),
                    begin + stretch * span.end()));
          }
          for (CostModel.Span span : duration.collectives()) {
            collectives.add(
                new Timeline.Event(
                    stage.stage(),
                    0,
                    Queue.COLLECTIVE,
                    span.name(),
                    begin + stretch * span.start(),
                    begin + stretch * span.end()));
          }
        }
      }
      levels.addAll(memory(stage.stage()));
    }
    if (events.size() + collectives.size() <= Timeline.MOST_EVENTS) {
      events.addAll(collectives);
    }
    return new Timeline(title, events, waits, levels);
  }
}
