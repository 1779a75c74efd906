package dev.weft.runtime.worker;

import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Transfers;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Literals;
import dev.weft.runtime.collective.CollectiveTimes;
import dev.weft.runtime.collective.DeviceFailedException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * One run of a program. Every device computes on its own thread, every other queue of a stage has a
 * thread of its own; they wait for nothing but what their steps await. The caller feeds the first
 * micro-batch.
 */
final class ProgramRun {
  /** What a value was after the fragment that makes it, for a micro-batch. */
  record Seen(String name, int microBatch) {}

  private final LoadedProgram program;
  private final StepSource source;
  private final Set<String> watched;
  private final boolean diagnosing;
  private final StepEvents events;
  private final StepTimes times;
  private final Map<Seen, Double> seen = new ConcurrentHashMap<>();
  private final Map<Transfers.At, String> nonFinite = new ConcurrentHashMap<>();

  /**
   * A run that has not begun.
   *
   * @param source of data and facts
   * @param watched names of scalars to be read whenever they are made
   * @param diagnosing whether to look for numbers that are not finite, op by op
   */
  ProgramRun(LoadedProgram program, StepSource source, Set<String> watched, boolean diagnosing) {
    this.program = program;
    this.source = source;
    this.watched = watched;
    this.diagnosing = diagnosing;
    List<StageProgram> stages = program.program().stages();
    int[][] parts = new int[stages.size()][];
    int[] devicesOf = new int[stages.size()];
    int[] stepsOf = new int[stages.size()];
    for (int stage = 0; stage < parts.length; stage++) {
      StageProgram own = stages.get(stage);
      int devices = own.mesh().size();
      devicesOf[stage] = devices;
      stepsOf[stage] = own.steps().size();
      parts[stage] =
          own.steps().stream().mapToInt(s -> s instanceof Step.Run ? devices : 1).toArray();
    }
    events = new StepEvents(parts);
    times = new StepTimes(stepsOf, devicesOf);
  }

  /**
   * Runs, and waits for the end on all devices.
   *
   * @return what happened when
   * @throws dev.weft.runtime.collective.DeviceFailedException if a device fails
   */
  RunRecord run() {
    long begin = System.nanoTime();
    var threads = new ArrayList<Thread>();
    int stages = program.program().stages().size();
    for (int stage = 0; stage < stages; stage++) {
      program.stage(stage).group().startClocks();
    }
    for (int stage = 0; stage < stages; stage++) {
      int own = stage;
      for (Queue queue : Queue.values()) {
        List<Integer> steps = program.stage(stage).steps(queue);
        if (queue == Queue.FROM_HOST) {
          // Nothing can begin before it has its first data: no thread need be woken for these.
          int first = firstFed(stage, steps);
          guarded(stage, steps.subList(0, first));
          steps = steps.subList(first, steps.size());
        }
        if (queue != Queue.COMPUTE && !steps.isEmpty()) {
          String name = "weft-" + queue.text() + "-" + stage;
          List<Integer> rest = steps;
          threads.add(Thread.ofVirtual().name(name).start(() -> guarded(own, rest)));
        }
      }
      if (stage > 0) {
        threads.add(Thread.ofVirtual().name("weft-stage-" + stage).start(() -> computing(own)));
      }
    }
    computing(0);
    for (Thread thread : threads) {
      join(thread);
    }
    var collectives = new ArrayList<List<CollectiveTimes>>();
    for (int stage = 0; stage < stages; stage++) {
      collectives.add(program.stage(stage).group().stopClocks());
    }
    Throwable failure = events.failure();
    if (failure instanceof RuntimeException e) {
      throw e;
    } else if (failure instanceof Error e) {
      throw e;
    }
    return new RunRecord(program.program(), times, collectives, begin);
  }

  /** How many steps at the head of a queue feed what stands once and the first micro-batch. */
  private int firstFed(int stage, List<Integer> steps) {
    List<Step> all = program.stage(stage).stage().steps();
    int count = 0;
    while (count < steps.size()
        && all.get(steps.get(count)) instanceof Step.Feed feed
        && feed.awaits().isEmpty()
        && feed.microBatch() <= 0) {
      count++;
    }
    return count;
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a program runs", e);
    }
  }

  /** All compute queues of a stage, one for each of its devices. */
  private void computing(int stage) {
    try {
      program.stage(stage).group().onAll(device -> compute(stage, device));
    } catch (RuntimeException | Error e) {
      fail(stage, e);
    }
  }

  private boolean compute(int stage, int device) {
    LoadedStage loaded = program.stage(stage);
    try {
      for (int step : loaded.steps(Queue.COMPUTE)) {
        var run = (Step.Run) loaded.stage().steps().get(step);
        var at = new Transfers.At(stage, step);
        events.await(stage, run.awaits());
        times.begin(at, device, System.nanoTime());
        GroupProgram group = Objects.requireNonNull(loaded.program(step));
        if (diagnosing) {
          Optional<String> first = group.on(device).firstNonFinite();
          first.ifPresent(origin -> nonFinite.putIfAbsent(at, origin));
        } else {
          group.on(device).run();
        }
        if (device == 0) {
          watch(loaded, run);
        }
        times.end(at, device, System.nanoTime());
        events.end(at);
      }
    } catch (StepEvents.RunStoppedException _) {
      // What failed first is reported; this device only stops.
      return false;
    } catch (DeviceFailedException e) {
      events.fail(e);
      throw e;
    } catch (RuntimeException | Error e) {
      events.fail(new DeviceFailedException(device + " of stage " + stage, e));
      throw e;
    }
    return true;
  }

  private void watch(LoadedStage loaded, Step.Run run) {
    Fragment fragment = loaded.stage().fragments().get(run.fragment());
    for (int buffer : fragment.outputs()) {
      Buffer declared = loaded.stage().buffers().get(buffer);
      if (watched.contains(declared.name())) {
        int slot = run.slots().get(declared.pool());
        seen.put(
            new Seen(declared.name(), run.microBatch()), scalar(loaded.tensor(buffer, slot).on(0)));
      }
    }
  }

  static double scalar(DeviceBuffer buffer) {
    return Literals.read(buffer.type(), buffer.segment()).asDouble(0);
  }

  /** Runs steps of one of the queues beside the compute queue. */
  private void guarded(int stage, List<Integer> steps) {
    try {
      LoadedStage loaded = program.stage(stage);
      for (int number : steps) {
        Step step = loaded.stage().steps().get(number);
        events.await(stage, step.awaits());
        move(new Transfers.At(stage, number), step);
      }
    } catch (StepEvents.RunStoppedException _) {
      // What failed first is reported.
      return;
    } catch (RuntimeException | Error e) {
      fail(stage, e);
    }
  }

  private void move(Transfers.At at, Step step) {
    LoadedStage loaded = program.stage(at.stage());
    switch (step) {
      case Step.Feed feed -> {
        long begin = System.nanoTime();
        feed(loaded, feed);
        times.all(at, begin, System.nanoTime());
        events.end(at);
      }
      case Step.Send _ -> {
        events.post(at);
        events.await(at.stage(), List.of(at.step()));
      }
      case Step.Receive receive -> {
        Transfers.At sender = program.sender(at.stage(), at.step());
        events.awaitPosted(sender);
        receive(loaded, receive, at, sender);
        events.end(at);
        events.end(sender);
      }
      case Step.Run _ -> throw new IllegalStateException("a run belongs to the compute queue");
    }
  }

  private void feed(LoadedStage loaded, Step.Feed feed) {
    List<Buffer> buffers = loaded.stage().buffers();
    for (int buffer : loaded.fed(feed.pool())) {
      Optional<MemorySegment> whole = source.find(buffers.get(buffer), feed.microBatch());
      if (whole.isPresent()) {
        loaded.tensor(buffer, feed.slot()).write(whole.get());
      }
    }
  }

  private void receive(
      LoadedStage loaded, Step.Receive receive, Transfers.At at, Transfers.At sender) {
    LoadedStage other = program.stage(sender.stage());
    Step.Send send = (Step.Send) other.stage().steps().get(sender.step());
    ShardedBuffer from = other.tensor(send.buffer(), send.slot());
    ShardedBuffer to = loaded.tensor(receive.buffer(), receive.slot());
    for (int device = 0; device < loaded.group().size(); device++) {
      MemorySegment target = to.on(device).segment();
      long begin = System.nanoTime();
      MemorySegment.copy(from.on(device).segment(), 0, target, 0, target.byteSize());
      long end = System.nanoTime();
      for (Transfers.At side : List.of(at, sender)) {
        times.begin(side, device, begin);
        times.end(side, device, end);
      }
    }
  }

  private void fail(int stage, Throwable cause) {
    events.fail(cause);
    for (int other = 0; other < program.program().stages().size(); other++) {
      if (other != stage) {
        program.stage(other).group().failed("of stage " + stage, cause);
      }
    }
  }

  /** The scalars that were watched, by name and micro-batch. */
  double seen(String name, int microBatch) {
    Double value = seen.get(new Seen(name, microBatch));
    if (value == null) {
      throw new IllegalStateException(name + " of micro-batch " + microBatch + " was never made");
    }
    return value;
  }

  /** Whether a watched scalar was made for a micro-batch. */
  boolean saw(String name, int microBatch) {
    return seen.containsKey(new Seen(name, microBatch));
  }

  /** The origin of the first op, by time, whose result was not finite. */
  Optional<String> firstNonFinite() {
    return nonFinite.entrySet().stream()
        .min(Comparator.comparingLong(e -> times.began(e.getKey())))
        .map(Map.Entry::getValue);
  }
}
