package dev.weft.runtime.worker;

import dev.weft.core.program.Program;
import dev.weft.core.program.Step;
import dev.weft.core.program.Transfers;
import dev.weft.engine.program.CallTime;
import java.util.List;

/** A program, ready to run on the devices of a {@link Pipeline}. */
public final class LoadedProgram {
  private final Program program;
  private final List<LoadedStage> stages;
  private final Transfers transfers;

  /**
   * A program on its stages.
   *
   * @throws IllegalStateException if something is sent that nobody receives so
   */
  LoadedProgram(Program program, List<LoadedStage> stages) {
    this.program = program;
    this.stages = List.copyOf(stages);
    this.transfers = Transfers.of(program);
    for (int stage = 0; stage < stages.size(); stage++) {
      List<Step> steps = program.stages().get(stage).steps();
      for (int i = 0; i < steps.size(); i++) {
        if (steps.get(i) instanceof Step.Receive receive) {
          requireAlike(stage, receive, sender(stage, i));
        }
      }
    }
  }

  private void requireAlike(int stage, Step.Receive receive, Transfers.At sender) {
    Step.Send send = (Step.Send) program.stages().get(sender.stage()).steps().get(sender.step());
    ShardedBuffer from = stages.get(sender.stage()).tensor(send.buffer(), send.slot());
    ShardedBuffer to = stages.get(stage).tensor(receive.buffer(), receive.slot());
    if (!from.type().equals(to.type()) || !from.layout().equals(to.layout())) {
      String name = program.stages().get(stage).buffers().get(receive.buffer()).name();
      throw new IllegalStateException(
          name + " is sent as " + from.layout() + " and received as " + to.layout());
    }
  }

  public Program program() {
    return program;
  }

  LoadedStage stage(int stage) {
    return stages.get(stage);
  }

  /** The step that sends what a step receives. */
  Transfers.At sender(int stage, int step) {
    return transfers.sender(stage, step);
  }

  /** Floating point operations of one run, on all devices together. */
  public double flops() {
    return stages.stream().mapToDouble(LoadedStage::flops).sum();
  }

  /** Has all runs from now on time each call. */
  public void startProfile() {
    stages.forEach(LoadedStage::startProfile);
  }

  /** What each call took since then on the first device of each stage. */
  public List<CallTime> profile() {
    return stages.stream().flatMap(LoadedStage::profile).toList();
  }

  void close() {
    stages.forEach(LoadedStage::close);
  }
}
