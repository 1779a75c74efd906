package dev.weft.runtime.worker;

import dev.weft.core.program.Buffer;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A program, ready to run on the devices of a {@link Pipeline}. */
public final class LoadedProgram {
  /** What is sent: by whom, to whom, under which name, for which micro-batch. */
  private record Letter(int from, int to, String name, int microBatch) {}

  private final Program program;
  private final List<LoadedStage> stages;

  /** For each stage and step that receives, the step that sends. */
  private final List<Map<Integer, StepEvents.At>> senders = new ArrayList<>();

  LoadedProgram(Program program, List<LoadedStage> stages) {
    this.program = program;
    this.stages = List.copyOf(stages);
    Map<Letter, StepEvents.At> sends = new HashMap<>();
    for (int stage = 0; stage < stages.size(); stage++) {
      StageProgram own = program.stages().get(stage);
      for (int i = 0; i < own.steps().size(); i++) {
        if (own.steps().get(i) instanceof Step.Send send) {
          Buffer buffer = own.buffers().get(send.buffer());
          var letter = new Letter(stage, send.stage(), buffer.name(), send.microBatch());
          sends.put(letter, new StepEvents.At(stage, i));
        }
      }
    }
    for (int stage = 0; stage < stages.size(); stage++) {
      senders.add(receives(stage, sends));
    }
  }

  private Map<Integer, StepEvents.At> receives(int stage, Map<Letter, StepEvents.At> sends) {
    StageProgram own = program.stages().get(stage);
    Map<Integer, StepEvents.At> matched = new HashMap<>();
    for (int i = 0; i < own.steps().size(); i++) {
      if (own.steps().get(i) instanceof Step.Receive receive) {
        Buffer buffer = own.buffers().get(receive.buffer());
        var letter = new Letter(receive.stage(), stage, buffer.name(), receive.microBatch());
        StepEvents.At sender = sends.get(letter);
        if (sender == null) {
          throw new IllegalStateException(
              "stage " + stage + " receives " + buffer.name() + " that nobody sends");
        }
        Step.Send send =
            (Step.Send) program.stages().get(sender.stage()).steps().get(sender.step());
        ShardedBuffer from = stages.get(sender.stage()).tensor(send.buffer(), send.slot());
        ShardedBuffer to = stages.get(stage).tensor(receive.buffer(), receive.slot());
        if (!from.type().equals(to.type()) || !from.layout().equals(to.layout())) {
          throw new IllegalStateException(
              buffer.name() + " is sent as " + from.layout() + " and received as " + to.layout());
        }
        matched.put(i, sender);
      }
    }
    return matched;
  }

  public Program program() {
    return program;
  }

  LoadedStage stage(int stage) {
    return stages.get(stage);
  }

  /** The step that sends what a step receives. */
  StepEvents.At sender(int stage, int step) {
    return java.util.Objects.requireNonNull(senders.get(stage).get(step));
  }

  /** Floating point operations of one run, on all devices together. */
  public double flops() {
    return stages.stream().mapToDouble(LoadedStage::flops).sum();
  }

  void close() {
    stages.forEach(LoadedStage::close);
  }
}
