package dev.weft.core.program;

import dev.weft.core.graph.Graph;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;

/**
 * Checks that a program is sound: every receive has its send, nothing can wait forever, nothing is
 * read before it is written or after it is gone, whatever the order in which queues get on. A
 * failure is a fault of Weft's.
 */
public final class ProgramVerifier {
  private static final int QUEUES = Queue.values().length;

  private final Program program;
  private final Transfers transfers;

  private ProgramVerifier(Program program) {
    this.program = program;
    this.transfers = Transfers.of(program);
  }

  /**
   * Gives the program back if it is sound.
   *
   * @throws IllegalStateException naming stage, step and buffer, and what is wrong
   */
  public static Program verify(Program program) {
    for (int number = 0; number < program.stages().size(); number++) {
      StageProgram stage = program.stages().get(number);
      if (stage.stage() != number) {
        throw new IllegalStateException(
            program.name() + ": stage " + stage.stage() + " stands at place " + number);
      }
      new StageCheck(program, stage).check();
    }
    var verifier = new ProgramVerifier(program);
    verifier.transfers();
    var order = new HappensBefore(program, verifier.transfers);
    program.stages().forEach(stage -> verifier.contents(stage, order));
    return program;
  }

  private void transfers() {
    for (StageProgram stage : program.stages()) {
      Map<Buffer, Buffer> alike = new IdentityHashMap<>();
      for (int i = 0; i < stage.steps().size(); i++) {
        if (stage.steps().get(i) instanceof Step.Receive receive) {
          Transfers.At at = transfers.sender(stage.stage(), i);
          StageProgram other = program.stages().get(at.stage());
          Buffer to = stage.buffers().get(receive.buffer());
          Buffer from = other.buffers().get(((Step.Send) other.steps().get(at.step())).buffer());
          if (alike.put(to, from) == from) {
            continue;
          }
          if (!from.type().equals(to.type())
              || !from.layout().equals(to.layout())
              || !from.local().equals(to.local())
              || !stage.mesh().equals(other.mesh())) {
            throw failure(stage, i, from + " is received as " + to);
          }
        }
      }
    }
  }

  private void contents(StageProgram stage, HappensBefore order) {
    boolean[] summed = new boolean[stage.buffers().size()];
    Access.visit(
        stage,
        (step, buffer, _, reads, _) ->
            summed[buffer] |= reads && stage.steps().get(step).microBatch() != Step.ONCE);
    var contents = new Contents(stage, order, summed);
    Access.visit(stage, contents::access);
  }

  /** What every place of a stage holds as steps go by. */
  private final class Contents {
    private final StageProgram stage;
    private final HappensBefore order;

    /** Of each buffer, whether it is added onto. */
    private final boolean[] summed;

    /** The number of each buffer's first slot among those of all. */
    private final int[] offsets;

    /** Who has written each slot last, and for which micro-batch. */
    private final int[] writers;

    private final int[] microBatches;

    /** The last step of each queue that has read it since: those before it have ended by then. */
    private final int[] readers;

    Contents(StageProgram stage, HappensBefore order, boolean[] summed) {
      this.stage = stage;
      this.order = order;
      this.summed = summed;
      offsets = new int[stage.buffers().size() + 1];
      for (int buffer = 0; buffer < stage.buffers().size(); buffer++) {
        int slots = stage.pools().get(stage.buffers().get(buffer).pool()).slots();
        offsets[buffer + 1] = offsets[buffer] + slots;
      }
      int slots = offsets[stage.buffers().size()];
      writers = new int[slots];
      Arrays.fill(writers, -1);
      microBatches = new int[slots];
      readers = new int[slots * QUEUES];
      Arrays.fill(readers, -1);
    }

    void access(int number, int place, int slot, boolean reads, boolean writes) {
      Step step = stage.steps().get(number);
      Buffer buffer = stage.buffers().get(place);
      boolean kept = stage.pools().get(buffer.pool()).kept();
      int at = offsets[place] + slot;
      int writer = writers[at];
      if (reads) {
        read(stage, number, buffer, kept, summed[place], writer, microBatches[at]);
      }
      if (writer >= 0 && !order.isBefore(stage, writer, number)) {
        throw failure(
            stage, number, text(buffer, slot) + " may not have been written by step " + writer);
      }
      if (writes) {
        for (int queue = 0; queue < QUEUES; queue++) {
          int reader = readers[at * QUEUES + queue];
          if (reader >= 0 && reader != number && !order.isBefore(stage, reader, number)) {
            throw failure(
                stage, number, text(buffer, slot) + " may still be read by step " + reader);
          }
        }
        if (kept && !reads && writer >= 0 && step.microBatch() != Step.ONCE) {
          throw failure(stage, number, text(buffer, slot) + " is written over");
        }
        Arrays.fill(readers, at * QUEUES, (at + 1) * QUEUES, -1);
        writers[at] = number;
        microBatches[at] = step.microBatch();
      } else {
        readers[at * QUEUES + step.queue().ordinal()] = number;
      }
    }
  }

  private void read(
      StageProgram stage,
      int i,
      Buffer buffer,
      boolean kept,
      boolean summed,
      int writer,
      int held) {
    int microBatch = stage.steps().get(i).microBatch();
    if (writer < 0) {
      if (!kept) {
        throw failure(stage, i, buffer.name() + " is read before it is written");
      }
      if (buffer.kind() == Graph.Kind.ACCUMULATOR && summed && microBatch != Step.ONCE) {
        throw failure(stage, i, buffer.name() + " is added onto before it is cleared");
      }
    } else if (!kept && held != microBatch) {
      throw failure(
          stage, i, buffer.name() + " holds micro-batch " + held + " by then, no longer its own");
    }
  }

  private static String text(Buffer buffer, int slot) {
    return buffer.name() + " in slot " + slot;
  }

  private IllegalStateException failure(StageProgram stage, int step, String message) {
    return StageCheck.failure(program, stage, step, message);
  }
}
