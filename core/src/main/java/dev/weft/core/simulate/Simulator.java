package dev.weft.core.simulate;

import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Pace;
import dev.weft.core.program.Program;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Transfers;
import dev.weft.core.simulate.CostModel.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.PriorityQueue;

/**
 * Runs a program in virtual time. Every stage is simulated once, for all its devices.
 *
 * <p>A step begins when the one before it in its queue and all that it awaits have ended. Receives
 * are posted ahead: each is ready for its data when what it awaits has ended, whether or not others
 * before it have got theirs. A transfer begins when the sender has come to it and the receive is
 * ready; the send ends when all bytes are on their way, the receive a latency later. What several
 * stages send over ({@link CostModel#shared}) serves one transfer at a time, in the order in which
 * they could begin. Feeding takes no time.
 */
public final class Simulator {
  private static final int QUEUES = Queue.values().length;
  private static final double UNKNOWN = -1;

  private final Program program;
  private final Transfers transfers;
  private final Duration[][] durations;
  private final CostModel costs;
  private final Optional<Pace> pace;

  /** By sender, those to other stages: few. */
  private final List<List<Way>> ways = new ArrayList<>();

  private final double[] starts;
  private final double[] ends;

  /** By the numbers of steps, the one behind in its queue; that of all steps at its end. */
  private final int[] following;

  /** Of each stage and queue the number of the next step, and when the one before it ended. */
  private final int[] heads;

  private final double[] free;

  /** Of each stage the first step that may be a receive not ready yet, and when the last was. */
  private final int[] posting;

  private final double[] lastPosted;

  /** The queues that wait for a step: the first of them, and for each queue the next. */
  private final int[] firstWaiting;

  private final int[] nextWaiting;
  private final int[] ready;
  private int readyCount;

  /** Sends that could begin but for others that may come first on what they share. */
  private final PriorityQueue<Claim> claims =
      new PriorityQueue<>(Comparator.comparingDouble(Claim::begin).thenComparingInt(Claim::queue));

  /** What transfers between several stages need. */
  private final Map<Integer, Shared> taken = new HashMap<>();

  /** Until when something is taken. */
  private static final class Shared {
    private double until;
  }

  private record Way(int to, Link link, List<Shared> shared) {}

  private record Claim(double begin, int queue) {}

  private Simulator(Program program, CostModel costs, Optional<Pace> pace) {
    this.pace = pace;
    this.program = program;
    this.costs = costs;
    transfers = Transfers.of(program);
    int stages = program.stages().size();
    int steps = transfers.steps();
    durations = new Duration[stages][];
    for (StageProgram stage : program.stages()) {
      durations[stage.stage()] =
          stage.fragments().stream()
              .map(fragment -> costs.fragment(stage, fragment))
              .toArray(Duration[]::new);
      ways.add(new ArrayList<>());
    }
    starts = new double[steps];
    ends = new double[steps];
    Arrays.fill(ends, UNKNOWN);
    following = new int[steps];
    heads = new int[stages * QUEUES];
    Arrays.fill(heads, steps);
    program.stages().forEach(this::follow);
    free = new double[stages * QUEUES];
    posting = new int[stages];
    lastPosted = new double[stages];
    firstWaiting = new int[steps];
    Arrays.fill(firstWaiting, -1);
    nextWaiting = new int[stages * QUEUES];
    ready = new int[stages * QUEUES];
    for (int queue = 0; queue < heads.length; queue++) {
      ready[readyCount++] = queue;
    }
  }

  /**
   * Runs a program.
   *
   * @throws IllegalStateException if stages wait for one another forever, or a send or receive has
   *     no counterpart
   */
  public static Simulation simulate(Program program, CostModel costs) {
    return simulate(program, costs, Optional.empty());
  }

  /**
   * Runs a program on devices whose speed varies as it was measured: what costs say is the mean.
   * The devices of a stage wait for one another at every moment, as collectives have them do.
   *
   * @throws IllegalStateException if stages wait for one another forever, or a send or receive has
   *     no counterpart
   */
  public static Simulation simulate(Program program, CostModel costs, Pace pace) {
    return simulate(program, costs, Optional.of(pace));
  }

  private static Simulation simulate(Program program, CostModel costs, Optional<Pace> pace) {
    var simulator = new Simulator(program, costs, pace);
    do {
      while (simulator.readyCount > 0) {
        int queue = simulator.ready[--simulator.readyCount];
        while (simulator.advance(queue)) {}
      }
    } while (simulator.grant());
    simulator.requireEnd();
    return new Simulation(
        program, simulator.transfers, simulator.durations, simulator.starts, simulator.ends);
  }

  private List<Step> steps(int queue) {
    return program.stages().get(queue / QUEUES).steps();
  }

  /** Links the steps of each queue of a stage. */
  private void follow(StageProgram stage) {
    List<Step> steps = stage.steps();
    int offset = transfers.number(stage.stage(), 0);
    for (int i = steps.size() - 1; i >= 0; i--) {
      int queue = stage.stage() * QUEUES + steps.get(i).queue().ordinal();
      following[offset + i] = heads[queue];
      heads[queue] = offset + i;
    }
  }

  /** Whether all steps of a queue are done. */
  private boolean isDone(int queue) {
    return heads[queue] == following.length;
  }

  private Step head(int queue) {
    int stage = queue / QUEUES;
    return steps(queue).get(heads[queue] - transfers.number(stage, 0));
  }

  /** Does the next step of a queue; false at its end, or where it has to wait. */
  private boolean advance(int queue) {
    if (isDone(queue)) {
      return false;
    }
    int stage = queue / QUEUES;
    int number = heads[queue];
    Step step = head(queue);
    boolean receives = step instanceof Step.Receive;
    double begin = Math.max(free[queue], receives ? 0 : awaited(queue, stage, step));
    if (begin == Double.POSITIVE_INFINITY) {
      return false;
    }
    double end;
    switch (step) {
      case Step.Run run -> {
        double time = durations[stage][run.fragment()].time();
        int devices = program.stages().get(stage).mesh().size();
        end = pace.isEmpty() ? begin + time : pace.get().end(stage * devices, devices, begin, time);
      }
      case Step.Feed _ -> end = begin;
      case Step.Send send -> {
        int receive = transfers.counterpart(number);
        begin = Math.max(begin, posted(queue, send.stage(), receive));
        if (begin == Double.POSITIVE_INFINITY) {
          return false;
        }
        Way way = way(stage, send.stage());
        if (!way.shared().isEmpty()) {
          claims.add(new Claim(begin, queue));
          return false;
        }
        end = begin + way.link().occupancy(bytes(stage, send));
      }
      case Step.Receive receive -> {
        int sent = transfers.counterpart(number);
        if (isUnknown(queue, sent)) {
          return false;
        }
        end = Math.max(free[queue], ends[sent] + way(receive.stage(), stage).link().latency());
        begin = starts[sent];
      }
    }
    settle(queue, number, begin, end);
    return true;
  }

  private void settle(int queue, int number, double begin, double end) {
    starts[number] = begin;
    ends[number] = end;
    free[queue] = end;
    heads[queue] = following[number];
    wake(number);
  }

  /**
   * Lets the first of the sends that share something begin; false if there is none. All else has
   * gone as far as it can by then: what is not known yet comes after one of these, so none that is
   * ready earlier can still turn up.
   */
  private boolean grant() {
    Claim claim = claims.poll();
    if (claim == null) {
      return false;
    }
    int queue = claim.queue();
    int stage = queue / QUEUES;
    var send = (Step.Send) head(queue);
    Way way = way(stage, send.stage());
    double begin = claim.begin();
    for (Shared shared : way.shared()) {
      begin = Math.max(begin, shared.until);
    }
    double end = begin + way.link().occupancy(bytes(stage, send));
    for (Shared shared : way.shared()) {
      shared.until = end;
    }
    settle(queue, heads[queue], begin, end);
    ready[readyCount++] = queue;
    return true;
  }

  /** When a receive is ready for its data; infinity, and the queue waits, if that is unknown. */
  private double posted(int queue, int stage, int receive) {
    int offset = transfers.number(stage, 0);
    List<Step> steps = program.stages().get(stage).steps();
    while (posting[stage] <= receive - offset) {
      Step next = steps.get(posting[stage]);
      if (next instanceof Step.Receive) {
        double ready = awaited(queue, stage, next);
        if (ready == Double.POSITIVE_INFINITY) {
          return ready;
        }
        lastPosted[stage] = Math.max(lastPosted[stage], ready);
        starts[offset + posting[stage]] = lastPosted[stage];
      }
      posting[stage]++;
    }
    return starts[receive];
  }

  /** When all that a step awaits has ended; infinity, and the queue waits, if that is unknown. */
  private double awaited(int queue, int stage, Step step) {
    double latest = 0;
    List<Integer> awaits = step.awaits();
    for (int i = 0; i < awaits.size(); i++) {
      int number = transfers.number(stage, awaits.get(i));
      if (isUnknown(queue, number)) {
        return Double.POSITIVE_INFINITY;
      }
      latest = Math.max(latest, ends[number]);
    }
    return latest;
  }

  /** Whether it is unknown when a step ends; then the queue is tried again when it is known. */
  private boolean isUnknown(int queue, int number) {
    if (ends[number] >= 0) {
      return false;
    }
    nextWaiting[queue] = firstWaiting[number];
    firstWaiting[number] = queue;
    return true;
  }

  private void wake(int number) {
    for (int queue = firstWaiting[number]; queue >= 0; queue = nextWaiting[queue]) {
      ready[readyCount++] = queue;
    }
    firstWaiting[number] = -1;
  }

  private Way way(int from, int to) {
    List<Way> known = ways.get(from);
    for (int i = 0; i < known.size(); i++) {
      if (known.get(i).to() == to) {
        return known.get(i);
      }
    }
    List<Shared> shared =
        costs.shared(from, to).stream()
            .map(number -> taken.computeIfAbsent(number, _ -> new Shared()))
            .toList();
    var way = new Way(to, costs.link(from, to), shared);
    known.add(way);
    return way;
  }

  private long bytes(int stage, Step.Send send) {
    return program.stages().get(stage).buffers().get(send.buffer()).local().bytes();
  }

  private void requireEnd() {
    var waiting = new ArrayList<String>();
    for (int queue = 0; queue < heads.length; queue++) {
      if (!isDone(queue)) {
        waiting.add(
            "stage "
                + queue / QUEUES
                + " at step "
                + (heads[queue] - transfers.number(queue / QUEUES, 0))
                + " ("
                + Queue.values()[queue % QUEUES].text()
                + ")");
      }
    }
    if (!waiting.isEmpty()) {
      throw new IllegalStateException(
          "program " + program.name() + " waits forever: " + String.join(", ", waiting));
    }
  }
}
