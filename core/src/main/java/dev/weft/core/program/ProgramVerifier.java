package dev.weft.core.program;

import dev.weft.core.graph.Graph;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Checks that a program is sound: every receive has its send, nothing can wait forever, nothing is
 * read before it is written or after it is gone, whatever the order in which queues get on. A
 * failure is a fault of Weft's.
 */
public final class ProgramVerifier {
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
      for (int i = 0; i < stage.steps().size(); i++) {
        if (stage.steps().get(i) instanceof Step.Receive receive) {
          Transfers.At at = transfers.sender(stage.stage(), i);
          StageProgram other = program.stages().get(at.stage());
          Buffer to = stage.buffers().get(receive.buffer());
          Buffer from = other.buffers().get(((Step.Send) other.steps().get(at.step())).buffer());
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

  /** What a place holds as steps go by. */
  private static final class Content {
    private int writer = -1;
    private int microBatch;
    private final List<Integer> readers = new ArrayList<>();
  }

  private record Place(int buffer, int slot) {}

  private void contents(StageProgram stage, HappensBefore order) {
    List<List<Access>> accesses = Access.of(stage);
    Map<Place, Content> contents = new HashMap<>();
    Set<Integer> summed = new HashSet<>();
    for (int i = 0; i < accesses.size(); i++) {
      for (Access access : accesses.get(i)) {
        if (access.reads() && stage.steps().get(i).microBatch() != Step.ONCE) {
          summed.add(access.buffer());
        }
      }
    }
    for (int i = 0; i < accesses.size(); i++) {
      Step step = stage.steps().get(i);
      for (Access access : accesses.get(i)) {
        Buffer buffer = stage.buffers().get(access.buffer());
        boolean kept = stage.pools().get(buffer.pool()).kept();
        Content content =
            contents.computeIfAbsent(new Place(access.buffer(), access.slot()), _ -> new Content());
        if (access.reads()) {
          read(stage, i, buffer, kept, summed.contains(access.buffer()), content);
        }
        boolean ordered = content.writer < 0 || order.isBefore(stage, content.writer, i);
        if (!ordered) {
          throw failure(
              stage,
              i,
              text(buffer, access) + " may not have been written by step " + content.writer);
        }
        if (access.writes()) {
          for (int reader : content.readers) {
            if (reader != i && !order.isBefore(stage, reader, i)) {
              throw failure(
                  stage, i, text(buffer, access) + " may still be read by step " + reader);
            }
          }
          if (kept && !access.reads() && content.writer >= 0 && step.microBatch() != Step.ONCE) {
            throw failure(stage, i, text(buffer, access) + " is written over");
          }
          content.readers.clear();
          content.writer = i;
          content.microBatch = step.microBatch();
        } else {
          content.readers.add(i);
        }
      }
    }
  }

  private void read(
      StageProgram stage, int i, Buffer buffer, boolean kept, boolean summed, Content content) {
    int microBatch = stage.steps().get(i).microBatch();
    if (content.writer < 0) {
      if (!kept) {
        throw failure(stage, i, buffer.name() + " is read before it is written");
      }
      if (buffer.kind() == Graph.Kind.ACCUMULATOR && summed && microBatch != Step.ONCE) {
        throw failure(stage, i, buffer.name() + " is added onto before it is cleared");
      }
    } else if (!kept && content.microBatch != microBatch) {
      throw failure(
          stage,
          i,
          buffer.name()
              + " holds micro-batch "
              + content.microBatch
              + " by then, no longer its own");
    }
  }

  private static String text(Buffer buffer, Access access) {
    return buffer.name() + " in slot " + access.slot();
  }

  private IllegalStateException failure(StageProgram stage, int step, String message) {
    return StageCheck.failure(program, stage, step, message);
  }
}
