package dev.weft.runtime.worker;

import dev.weft.core.program.Buffer;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** Where a program's data and facts come from. Called by several threads at once. */
@FunctionalInterface
public interface StepSource {
  /**
   * The whole tensor for a buffer, row-major; empty where others fill it.
   *
   * @param microBatch or {@link dev.weft.core.program.Step#ONCE}
   */
  Optional<MemorySegment> find(Buffer buffer, int microBatch);
}
