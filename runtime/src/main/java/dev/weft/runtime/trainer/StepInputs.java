package dev.weft.runtime.trainer;

import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Step;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.worker.StepSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * What the programs of a step are fed: the data and facts of every micro-batch, and the facts that
 * stand once per step, in memory that is allocated once.
 */
final class StepInputs implements StepSource {
  private static final List<String> NUMBERS =
      List.of("weight", "learning_rate", "step", StepGraphs.MICRO_BATCHES);

  private final Arena arena = Arena.ofAuto();
  private final List<Map<String, MemorySegment>> microBatches = new ArrayList<>();

  /** Facts (f32) by name. */
  private final Map<String, MemorySegment> numbers = new HashMap<>();

  private final MemorySegment number = arena.allocate(ValueLayout.JAVA_LONG);

  /**
   * Memory for a step.
   *
   * @param data the types of a micro-batch by name; the first dim is the batch's
   * @param count how many micro-batches a step has
   */
  StepInputs(SequencedMap<String, TensorType> data, int count, long seed) {
    long rows = data.firstEntry().getValue().size(0);
    MemorySegment seeds = arena.allocateFrom(ValueLayout.JAVA_LONG, seed);
    for (int i = 0; i < count; i++) {
      Map<String, MemorySegment> fed = new HashMap<>();
      data.forEach((name, type) -> fed.put(name, arena.allocate(type.bytes(), 64)));
      fed.putIfAbsent("seed", seeds);
      fed.putIfAbsent("step", number);
      fed.putIfAbsent("row", arena.allocateFrom(ValueLayout.JAVA_LONG, i * rows));
      microBatches.add(fed);
    }
    NUMBERS.forEach(name -> numbers.put(name, arena.allocate(ValueLayout.JAVA_FLOAT)));
    set(StepGraphs.MICRO_BATCHES, count);
  }

  /** How many micro-batches a step has. */
  int microBatches() {
    return microBatches.size();
  }

  /**
   * Says which step is next, and what is written does not change until it has run.
   *
   * @param step counting from 1; 0 for none
   */
  void begin(long step) {
    number.set(ValueLayout.JAVA_LONG, 0, step);
    set("step", step);
  }

  /** Has a micro-batch's data written. */
  void load(int microBatch, int batch, Session.BatchSource source) {
    Map<String, MemorySegment> data = microBatches.get(microBatch);
    source.load(batch, name -> Objects.requireNonNull(data.get(name), name));
  }

  /** Gives a fact that stands once per step its value. */
  void set(String name, double value) {
    Objects.requireNonNull(numbers.get(name), name).set(ValueLayout.JAVA_FLOAT, 0, (float) value);
  }

  @Override
  public Optional<MemorySegment> find(Buffer buffer, int microBatch) {
    Map<String, MemorySegment> fed =
        microBatch == Step.ONCE ? numbers : microBatches.get(microBatch);
    MemorySegment found = fed.get(buffer.name());
    if (found == null) {
      throw new IllegalStateException("nobody knows " + buffer);
    }
    return Optional.of(found);
  }
}
