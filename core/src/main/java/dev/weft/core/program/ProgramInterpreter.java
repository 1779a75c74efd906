package dev.weft.core.program;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.interpret.Interpreter;
import dev.weft.core.interpret.LockStep;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Runs programs in plain Java, all stages and queues, in any order that they allow. Memory that
 * nobody needs any more is poisoned at once. What programs keep stays between runs.
 */
public final class ProgramInterpreter {
  /** Where data and facts come from. */
  @FunctionalInterface
  public interface Source {
    /**
     * The whole tensor for a buffer; empty where others fill it.
     *
     * @param microBatch or {@link Step#ONCE}
     */
    Optional<Literal> find(Buffer buffer, int microBatch);
  }

  private record Kept(int stage, String name) {}

  private final Map<Kept, List<Literal>> kept = new HashMap<>();

  /** Gives what a stage keeps a first value, or another. */
  public void put(StageProgram stage, String name, Literal whole) {
    Buffer buffer = buffer(stage, name);
    kept.put(new Kept(stage.stage(), name), LockStep.scatter(whole, buffer.layout(), stage.mesh()));
  }

  /** What a stage keeps, put together. */
  public Literal get(StageProgram stage, String name) {
    Buffer buffer = buffer(stage, name);
    List<Literal> tiles =
        Objects.requireNonNull(
            kept.get(new Kept(stage.stage(), name)), () -> "nothing is kept as " + name);
    return LockStep.gather(buffer.type(), tiles, buffer.layout(), stage.mesh());
  }

  private static Buffer buffer(StageProgram stage, String name) {
    return stage.buffers().stream()
        .filter(b -> b.name().equals(name))
        .findFirst()
        .orElseThrow(() -> new IllegalStateException("no buffer " + name + " on " + stage.stage()));
  }

  /**
   * Runs a program once.
   *
   * @param random chooses what goes on next
   * @param watched names of values to be read whenever a fragment makes them
   * @return the values by name and micro-batch
   * @throws IllegalStateException if the program cannot go on
   */
  public Map<String, Map<Integer, Literal>> run(
      Program program, Source source, RandomGenerator random, Set<String> watched) {
    return new Execution(program, source, random, watched).run();
  }

  /** One run. */
  private final class Execution {
    private final Program program;
    private final Transfers transfers;
    private final Source source;
    private final RandomGenerator random;
    private final Set<String> watched;
    private final List<Memory> memories = new ArrayList<>();
    private final List<boolean[]> done = new ArrayList<>();

    /** Per stage and queue the steps that are still to come. */
    private final List<List<Integer>> queues = new ArrayList<>();

    private final int[] next;
    private final double[] eagerness;
    private final Map<String, Map<Integer, Literal>> seen = new TreeMap<>();

    Execution(Program program, Source source, RandomGenerator random, Set<String> watched) {
      this.program = program;
      this.transfers = Transfers.of(program);
      this.source = source;
      this.random = random;
      this.watched = watched;
      for (StageProgram stage : program.stages()) {
        memories.add(new Memory(stage));
        done.add(new boolean[stage.steps().size()]);
        for (Queue queue : Queue.values()) {
          var own = new ArrayList<Integer>();
          for (int i = 0; i < stage.steps().size(); i++) {
            if (stage.steps().get(i).queue() == queue) {
              own.add(i);
            }
          }
          queues.add(own);
        }
      }
      next = new int[queues.size()];
      eagerness = new double[queues.size()];
      for (int i = 0; i < eagerness.length; i++) {
        eagerness[i] = Math.exp(3 * random.nextGaussian());
      }
    }

    Map<String, Map<Integer, Literal>> run() {
      while (true) {
        var ready = new ArrayList<Integer>();
        double sum = 0;
        boolean open = false;
        for (int queue = 0; queue < next.length; queue++) {
          open |= next[queue] < queues.get(queue).size();
          if (canGo(queue)) {
            ready.add(queue);
            sum += eagerness[queue];
          }
        }
        if (!open) {
          return seen;
        }
        if (ready.isEmpty()) {
          throw new IllegalStateException(program.name() + " cannot go on: " + heads());
        }
        double point = random.nextDouble() * sum;
        int chosen = 0;
        while (chosen < ready.size() - 1 && point >= eagerness[ready.get(chosen)]) {
          point -= eagerness[ready.get(chosen++)];
        }
        go(ready.get(chosen));
      }
    }

    private String heads() {
      var heads = new ArrayList<String>();
      for (int queue = 0; queue < next.length; queue++) {
        if (next[queue] < queues.get(queue).size()) {
          heads.add("stage " + stage(queue) + " at " + step(queue));
        }
      }
      return String.join(", ", heads);
    }

    private int stage(int queue) {
      return queue / Queue.values().length;
    }

    private Step step(int queue) {
      return program.stages().get(stage(queue)).steps().get(number(queue));
    }

    private int number(int queue) {
      return queues.get(queue).get(next[queue]);
    }

    private boolean hasBegun(int queue) {
      return next[queue] < queues.get(queue).size()
          && step(queue).awaits().stream().allMatch(a -> done.get(stage(queue))[a]);
    }

    /** Whether the first step of a queue can be done. A receive is done with its send. */
    private boolean canGo(int queue) {
      if (!hasBegun(queue) || step(queue) instanceof Step.Receive) {
        return false;
      }
      if (step(queue) instanceof Step.Send) {
        Transfers.At at = transfers.receiver(stage(queue), number(queue));
        int other = queue(at.stage(), Queue.RECEIVE);
        return hasBegun(other) && number(other) == at.step();
      }
      return true;
    }

    private int queue(int stage, Queue queue) {
      return stage * Queue.values().length + queue.ordinal();
    }

    private void go(int queue) {
      Memory memory = memories.get(stage(queue));
      switch (step(queue)) {
        case Step.Run run -> compute(memory, run);
        case Step.Feed feed -> memory.feed(feed, source);
        case Step.Send send -> {
          Transfers.At at = transfers.receiver(stage(queue), number(queue));
          List<Literal> sent = memory.read(send.buffer(), send.slot());
          Memory target = memories.get(at.stage());
          Step.Receive receive = (Step.Receive) target.stage.steps().get(at.step());
          target.write(receive.buffer(), receive.slot(), sent);
          ended(queue(at.stage(), Queue.RECEIVE));
        }
        case Step.Receive _ -> throw new IllegalStateException("a receive goes with its send");
      }
      ended(queue);
    }

    private void ended(int queue) {
      int number = number(queue);
      done.get(stage(queue))[number] = true;
      memories.get(stage(queue)).ended(number);
      next[queue]++;
    }

    private void compute(Memory memory, Step.Run run) {
      StageProgram stage = memory.stage;
      Fragment fragment = stage.fragments().get(run.fragment());
      var inputs = new ArrayList<List<Literal>>();
      for (int buffer : fragment.inputs()) {
        inputs.add(memory.read(buffer, run.slots().get(stage.buffers().get(buffer).pool())));
      }
      List<List<Literal>> outputs = evaluate(fragment.graph(), stage.mesh(), inputs);
      for (int i = 0; i < outputs.size(); i++) {
        Buffer buffer = stage.buffers().get(fragment.outputs().get(i));
        memory.write(fragment.outputs().get(i), run.slots().get(buffer.pool()), outputs.get(i));
        if (watched.contains(buffer.name())) {
          seen.computeIfAbsent(buffer.name(), _ -> new TreeMap<>())
              .put(
                  run.microBatch(),
                  LockStep.gather(buffer.type(), outputs.get(i), buffer.layout(), stage.mesh()));
        }
      }
    }

    /** Outputs of all devices; inputs and outputs by name first, then by device. */
    private static List<List<Literal>> evaluate(
        Graph graph, Mesh mesh, List<List<Literal>> inputs) {
      if (mesh.size() == 1) {
        List<Literal> single = inputs.stream().map(List::getFirst).toList();
        return Interpreter.run(graph, single).stream().map(List::of).toList();
      }
      return turned(LockStep.run(graph, mesh, turned(inputs, mesh.size())), graph.outputs().size());
    }

    private static List<List<Literal>> turned(List<List<Literal>> rows, int columns) {
      var turned = new ArrayList<List<Literal>>();
      for (int column = 0; column < columns; column++) {
        int at = column;
        turned.add(rows.stream().map(row -> row.get(at)).toList());
      }
      return turned;
    }
  }

  /** What a stage holds, by buffer and slot. */
  private final class Memory {
    private final StageProgram stage;
    private final List<List<@Nullable List<Literal>>> transients = new ArrayList<>();

    /** How many steps still need what a step has written, by buffer. */
    private final List<List<Stay>> stays = new ArrayList<>();

    Memory(StageProgram stage) {
      this.stage = stage;
      for (Buffer buffer : stage.buffers()) {
        int slots = stage.pools().get(buffer.pool()).slots();
        transients.add(new ArrayList<>(java.util.Collections.nCopies(slots, null)));
      }
      stays();
    }

    /** A tensor from the step that writes it on. */
    private static final class Stay {
      private final int buffer;
      private final int slot;
      private int users;

      Stay(int buffer, int slot) {
        this.buffer = buffer;
        this.slot = slot;
      }
    }

    private void stays() {
      Map<List<Integer>, Stay> current = new HashMap<>();
      for (List<Access> accesses : Access.of(stage)) {
        var own = new ArrayList<Stay>();
        for (Access access : accesses) {
          var place = List.of(access.buffer(), access.slot());
          boolean isNew = access.writes() && !access.reads();
          Stay stay =
              isNew || !current.containsKey(place)
                  ? new Stay(access.buffer(), access.slot())
                  : current.get(place);
          current.put(place, Objects.requireNonNull(stay));
          stay.users++;
          own.add(stay);
        }
        stays.add(own);
      }
    }

    private boolean isKept(int buffer) {
      return stage.pools().get(stage.buffers().get(buffer).pool()).kept();
    }

    /** The parts of all devices; poison where nothing is. */
    List<Literal> read(int buffer, int slot) {
      Buffer declared = stage.buffers().get(buffer);
      List<Literal> found =
          isKept(buffer)
              ? kept.get(new Kept(stage.stage(), declared.name()))
              : transients.get(buffer).get(slot);
      return found != null
          ? found
          : java.util.Collections.nCopies(stage.mesh().size(), LockStep.poison(declared.local()));
    }

    void write(int buffer, int slot, List<Literal> tiles) {
      if (isKept(buffer)) {
        kept.put(new Kept(stage.stage(), stage.buffers().get(buffer).name()), tiles);
      } else {
        transients.get(buffer).set(slot, tiles);
      }
    }

    void feed(Step.Feed feed, Source source) {
      for (int i = 0; i < stage.buffers().size(); i++) {
        Buffer buffer = stage.buffers().get(i);
        if (buffer.pool() == feed.pool() && StageBuilder.isFed(buffer)) {
          int number = i;
          source
              .find(buffer, feed.microBatch())
              .ifPresent(
                  whole ->
                      write(
                          number,
                          feed.slot(),
                          LockStep.scatter(whole, buffer.layout(), stage.mesh())));
        }
      }
    }

    /** Poisons what nobody needs after a step. */
    void ended(int step) {
      for (Stay stay : stays.get(step)) {
        if (--stay.users == 0 && !isKept(stay.buffer)) {
          transients.get(stay.buffer).set(stay.slot, null);
        }
      }
    }
  }
}
