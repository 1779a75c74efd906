package dev.weft.core.program;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Writes the program of a stage step by step, in an order in which one thread could run it. What a
 * step must await follows from what it reads and writes: a reader awaits who wrote, a writer awaits
 * who wrote and all that read.
 */
public final class StageBuilder {
  private static final int QUEUES = Queue.values().length;

  private final int stage;
  private final Mesh mesh;
  private final List<Pool> pools = new ArrayList<>();
  private final List<Buffer> buffers = new ArrayList<>();
  private final Map<String, Integer> names = new HashMap<>();
  private final List<Fragment> fragments = new ArrayList<>();
  private final List<Step> steps = new ArrayList<>();

  /** By buffer, then slot. */
  private final List<List<Accesses>> accesses = new ArrayList<>();

  /** For each queue the last step of every other that its steps so far have awaited. */
  private final int[][] known = new int[QUEUES][QUEUES];

  /** The last step that wrote a place, and of each queue the last that has read it since. */
  private static final class Accesses {
    private int writer = -1;
    private final int[] readers = new int[QUEUES];

    Accesses() {
      Arrays.fill(readers, -1);
    }
  }

  public StageBuilder(int stage, Mesh mesh) {
    this.stage = stage;
    this.mesh = mesh;
    for (int[] ended : known) {
      Arrays.fill(ended, -1);
    }
  }

  /** Adds a pool; gives its number. */
  public int pool(Pool pool) {
    pools.add(pool);
    return pools.size() - 1;
  }

  /**
   * Adds a buffer; gives its number.
   *
   * @throws IllegalStateException if the name is taken
   */
  public int buffer(Buffer buffer) {
    if (names.putIfAbsent(buffer.name(), buffers.size()) != null) {
      throw new IllegalStateException("two buffers " + buffer.name() + " on stage " + stage);
    }
    buffers.add(buffer);
    accesses.add(new ArrayList<>());
    return buffers.size() - 1;
  }

  /** The number of the buffer of that name. */
  public Optional<Integer> find(String name) {
    return Optional.ofNullable(names.get(name));
  }

  /** The buffer of that number. */
  public Buffer buffer(int number) {
    return buffers.get(number);
  }

  /** Adds a fragment; gives its number. */
  public int fragment(Fragment fragment) {
    fragments.add(fragment);
    return fragments.size() - 1;
  }

  /** The fragment of that number. */
  public Fragment fragment(int number) {
    return fragments.get(number);
  }

  /** Runs a fragment in the first slot of all pools. */
  public int run(int fragment, int microBatch) {
    return run(fragment, microBatch, Collections.nCopies(pools.size(), 0), List.of());
  }

  /**
   * Runs a fragment.
   *
   * @param slots of all pools that there are; 0 for those that it does not touch
   * @param further steps that it shall await beside those that it must
   */
  public int run(int fragment, int microBatch, List<Integer> slots, List<Integer> further) {
    Fragment run = fragments.get(fragment);
    var awaits = new Awaits(Queue.COMPUTE);
    for (int buffer : run.inputs()) {
      awaits.read(buffer, slots.get(buffers.get(buffer).pool()));
    }
    for (int buffer : run.outputs()) {
      awaits.write(buffer, slots.get(buffers.get(buffer).pool()));
    }
    further.forEach(awaits::step);
    return add(new Step.Run(fragment, microBatch, slots, awaits.done()));
  }

  /** Fills the data and facts of a pool's slot from outside. */
  public int feed(int pool, int slot, int microBatch) {
    var awaits = new Awaits(Queue.FROM_HOST);
    for (int buffer = 0; buffer < buffers.size(); buffer++) {
      Buffer fed = buffers.get(buffer);
      if (fed.pool() == pool && isFed(fed)) {
        awaits.write(buffer, slot);
      }
    }
    return add(new Step.Feed(pool, slot, microBatch, awaits.done()));
  }

  /** Whether a buffer is filled from outside for each micro-batch. */
  public static boolean isFed(Buffer buffer) {
    return buffer.kind() == Graph.Kind.DATA || buffer.kind() == Graph.Kind.FACT;
  }

  /** Sends a buffer to another stage. */
  public int send(int buffer, int slot, int to, int microBatch) {
    var awaits = new Awaits(Queue.SEND);
    awaits.read(buffer, slot);
    return add(new Step.Send(buffer, slot, to, microBatch, awaits.done()));
  }

  /** Receives a buffer from another stage. */
  public int receive(int buffer, int slot, int from, int microBatch) {
    var awaits = new Awaits(Queue.RECEIVE);
    awaits.write(buffer, slot);
    return add(new Step.Receive(buffer, slot, from, microBatch, awaits.done()));
  }

  public StageProgram build() {
    return new StageProgram(
        stage, mesh, pools, buffers, fragments, steps.stream().map(this::forAllPools).toList());
  }

  /** A run with slots of pools that were added after it. */
  private Step forAllPools(Step step) {
    if (step instanceof Step.Run run && run.slots().size() < pools.size()) {
      var slots = new ArrayList<>(run.slots());
      slots.addAll(Collections.nCopies(pools.size() - slots.size(), 0));
      return new Step.Run(run.fragment(), run.microBatch(), slots, run.awaits());
    }
    return step;
  }

  private Accesses accesses(int buffer, int slot) {
    List<Accesses> slots = accesses.get(buffer);
    while (slots.size() <= slot) {
      slots.add(new Accesses());
    }
    return slots.get(slot);
  }

  private int add(Step step) {
    steps.add(step);
    return steps.size() - 1;
  }

  /** What the next step must await: of each other queue the last of its steps is enough. */
  private final class Awaits {
    private final int queue;
    private final int[] last = new int[QUEUES];

    Awaits(Queue queue) {
      this.queue = queue.ordinal();
      Arrays.fill(last, -1);
    }

    void read(int buffer, int slot) {
      Accesses known = accesses(buffer, slot);
      step(known.writer);
      known.readers[queue] = steps.size();
    }

    void write(int buffer, int slot) {
      Accesses known = accesses(buffer, slot);
      step(known.writer);
      for (int reader : known.readers) {
        step(reader);
      }
      known.writer = steps.size();
      Arrays.fill(known.readers, -1);
    }

    void step(int number) {
      if (number >= 0 && number < steps.size()) {
        int of = steps.get(number).queue().ordinal();
        last[of] = Math.max(last[of], number);
      }
    }

    List<Integer> done() {
      last[queue] = -1;
      int[] ended = known[queue];
      var awaited = new ArrayList<Integer>(QUEUES);
      for (int other = 0; other < QUEUES; other++) {
        // What an earlier step of the queue has awaited has ended anyway.
        if (last[other] > ended[other]) {
          ended[other] = last[other];
          awaited.add(last[other]);
        }
      }
      awaited.sort(null);
      return awaited;
    }
  }
}
