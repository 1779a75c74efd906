package dev.weft.runtime.trainer;

import dev.weft.core.program.Program;
import dev.weft.runtime.trace.RunTrace;
import dev.weft.runtime.trace.StepTrace;
import dev.weft.runtime.worker.RunRecord;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Keeps what devices did in the latest logged steps, and writes it down: after half a minute, ever
 * more rarely as training goes on, and at its end. The first step of a process is left out where
 * there are others: it links and measures.
 */
final class StepRecorder {
  private static final int STEPS = 5;
  private static final long FIRST_NANOS = 30_000_000_000L;
  private static final long LONGEST_NANOS = 10 * FIRST_NANOS;

  private final Path folder;
  private final long first;
  private final ArrayDeque<StepTrace> steps = new ArrayDeque<>();
  private @Nullable Program program;
  private long written = System.nanoTime();
  private long interval = FIRST_NANOS;
  private boolean begun;
  private boolean failed;

  /**
   * A recorder.
   *
   * @param folder to write to
   * @param first the first step of this process
   */
  StepRecorder(Path folder, long first) {
    this.folder = folder;
    this.first = first;
  }

  /**
   * Keeps the step that a session has just done.
   *
   * @return why it could not be written, once
   */
  Optional<String> record(long step, Session session) {
    List<RunRecord> records = session.lastStep();
    if (records.isEmpty()) {
      return Optional.empty();
    }
    if (step > first && !steps.isEmpty() && steps.getFirst().step() == first
        || steps.size() == STEPS) {
      steps.removeFirst();
    }
    long origin = records.getFirst().begin();
    steps.addLast(
        new StepTrace(step, records.stream().map(record -> record.timeline(origin)).toList()));
    program = records.getFirst().program();
    return System.nanoTime() - written > interval ? write() : Optional.empty();
  }

  /**
   * Writes down what is kept, over what was written before.
   *
   * @return why it could not be written, once: training goes on without
   */
  Optional<String> write() {
    if (program == null) {
      return Optional.empty();
    }
    try {
      var trace = new RunTrace(program, List.copyOf(steps));
      if (begun) {
        trace.writeSteps(folder);
      } else {
        trace.write(folder);
      }
      begun = true;
      failed = false;
    } catch (IOException | IllegalArgumentException e) {
      boolean again = failed;
      failed = true;
      return again
          ? Optional.empty()
          : Optional.of(
              "warning: cannot write what devices did to '%s': %s: %s"
                  .formatted(folder, e.getClass().getSimpleName(), e.getMessage()));
    } finally {
      written = System.nanoTime();
      interval = Math.min(2 * interval, LONGEST_NANOS);
    }
    return Optional.empty();
  }
}
