package dev.weft.runtime.trace;

import dev.weft.core.cluster.UserException;
import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Timeline;
import dev.weft.core.simulate.Simulation;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;

/**
 * What making gradients took in a run, beside what the simulation of the same program says. Figures
 * of runs are medians: of a fragment's or transfer's times over steps, micro-batches and devices,
 * of a whole step's over steps.
 *
 * @param makespan in seconds
 * @param bubble the share of all devices' time in which they do not compute
 * @param stages every stage as a whole, by number
 * @param parts every fragment and every value received, by stage, in the program's order
 */
public record Comparison(
    Figure makespan, Figure bubble, List<StageFigures> stages, List<Part> parts) {
  public Comparison {
    stages = List.copyOf(stages);
    parts = List.copyOf(parts);
  }

  /** One quantity. */
  public record Figure(double real, double simulated) {
    /** Real over simulated; not finite where nothing was simulated. */
    public double ratio() {
      return real / simulated;
    }
  }

  /**
   * A stage.
   *
   * @param busy seconds in which a device computes, on average over the stage's devices
   * @param waiting the part of these in which it waits for collectives
   */
  public record StageFigures(int stage, Figure busy, Figure waiting) {}

  /**
   * A fragment, or a value that is received.
   *
   * @param name the fragment's, or the value's with its sender
   * @param count how often it was measured
   * @param time in seconds
   */
  public record Part(int stage, Queue queue, String name, int count, Figure time) {}

  /** What a queue of a stage does under a name, whichever device and micro-batch. */
  private record Place(int stage, Queue queue, String name) {}

  /**
   * Compares.
   *
   * @param simulation of the trace's program
   * @throws UserException if the run's devices did other things than the program says, or in
   *     another order
   */
  public static Comparison of(RunTrace trace, Simulation simulation) {
    Program program = trace.program();
    List<Timeline> real = trace.steps().stream().map(StepTrace::gradients).toList();
    real.forEach(timeline -> requireOrder(program, timeline));
    Timeline simulated = simulation.timeline("simulated");
    var stages = new ArrayList<StageFigures>();
    for (StageProgram stage : program.stages()) {
      int number = stage.stage();
      int devices = stage.mesh().size();
      stages.add(
          new StageFigures(
              number,
              new Figure(
                  median(real.stream().mapToDouble(t -> StepTrace.busy(t, number) / devices)),
                  StepTrace.busy(simulated, number)),
              new Figure(
                  median(real.stream().mapToDouble(t -> StepTrace.waiting(t, number) / devices)),
                  StepTrace.waiting(simulated, number))));
    }
    return new Comparison(
        new Figure(median(real.stream().mapToDouble(StepTrace::makespan)), simulation.makespan()),
        new Figure(median(real.stream().mapToDouble(t -> bubble(program, t))), simulation.bubble()),
        stages,
        parts(program, real, simulated));
  }

  /** The share of all devices' time in which they do not compute. */
  public static double bubble(Program program, Timeline timeline) {
    double busy = 0;
    int devices = 0;
    for (StageProgram stage : program.stages()) {
      busy += StepTrace.busy(timeline, stage.stage());
      devices += stage.mesh().size();
    }
    double makespan = StepTrace.makespan(timeline);
    return makespan == 0 ? 0 : 1 - busy / (devices * makespan);
  }

  private static List<Part> parts(Program program, List<Timeline> real, Timeline simulated) {
    Map<Place, List<Double>> measured = durations(real);
    Map<Place, List<Double>> foretold = durations(List.of(simulated));
    Map<Place, List<Place>> members = new LinkedHashMap<>();
    for (StageProgram stage : program.stages()) {
      for (Queue queue : List.of(Queue.COMPUTE, Queue.RECEIVE)) {
        for (Step step : stage.steps()) {
          if (step.queue() == queue) {
            members
                .computeIfAbsent(
                    new Place(stage.stage(), queue, kind(stage, step)), _ -> new ArrayList<>())
                .add(new Place(stage.stage(), queue, Timeline.name(stage, step)));
          }
        }
      }
    }
    var parts = new ArrayList<Part>();
    members.forEach(
        (part, steps) -> {
          List<Double> took = all(measured, steps);
          List<Double> should = all(foretold, steps);
          parts.add(
              new Part(
                  part.stage(),
                  part.queue(),
                  part.name(),
                  took.size(),
                  new Figure(median(took), median(should))));
        });
    return parts;
  }

  /** What steps of all micro-batches have in common. */
  private static String kind(StageProgram stage, Step step) {
    return switch (step) {
      case Step.Run run -> stage.fragments().get(run.fragment()).name();
      case Step.Receive receive ->
          stage.buffers().get(receive.buffer()).name() + " from " + receive.stage();
      case Step.Send _, Step.Feed _ -> Timeline.name(stage, step);
    };
  }

  private static Map<Place, List<Double>> durations(List<Timeline> timelines) {
    Map<Place, List<Double>> durations = new HashMap<>();
    for (Timeline timeline : timelines) {
      for (Timeline.Event event : timeline.events()) {
        durations
            .computeIfAbsent(
                new Place(event.stage(), event.queue(), event.name()), _ -> new ArrayList<>())
            .add(event.end() - event.start());
      }
    }
    return durations;
  }

  private static List<Double> all(Map<Place, List<Double>> durations, List<Place> steps) {
    return steps.stream()
        .map(step -> durations.getOrDefault(step, List.of()))
        .flatMap(Collection::stream)
        .toList();
  }

  /**
   * Looks whether every device computed what the program says, one after another.
   *
   * @throws UserException if not
   */
  private static void requireOrder(Program program, Timeline timeline) {
    for (StageProgram stage : program.stages()) {
      List<String> expected =
          stage.steps().stream()
              .filter(step -> step.queue() == Queue.COMPUTE)
              .map(step -> Timeline.name(stage, step))
              .toList();
      for (int device = 0; device < stage.mesh().size(); device++) {
        List<String> found = order(timeline, stage.stage(), device, Queue.COMPUTE);
        if (!found.equals(expected)) {
          throw new UserException(
              "the trace is not of the program that lies beside it: device %d of stage %d computed %s, the program says %s; train on with --resume to have both written anew"
                  .formatted(device, stage.stage(), found, expected));
        }
      }
    }
  }

  /** The names of what a queue did, in the order in which it began. */
  public static List<String> order(Timeline timeline, int stage, int device, Queue queue) {
    return timeline.events().stream()
        .filter(e -> e.stage() == stage && e.device() == device && e.queue() == queue)
        .sorted(
            Comparator.comparingDouble(Timeline.Event::start)
                .thenComparingDouble(Timeline.Event::end))
        .map(Timeline.Event::name)
        .toList();
  }

  private static double median(DoubleStream numbers) {
    return median(numbers.boxed().toList());
  }

  /** The median; 0 of nothing. */
  private static double median(List<Double> numbers) {
    if (numbers.isEmpty()) {
      return 0;
    }
    List<Double> sorted = numbers.stream().sorted().toList();
    int middle = sorted.size() / 2;
    return sorted.size() % 2 == 1
        ? sorted.get(middle)
        : (sorted.get(middle - 1) + sorted.get(middle)) / 2;
  }
}
