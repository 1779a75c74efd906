package dev.weft.core.schedule;

import dev.weft.core.program.Action;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * 1F1B with several chunks of the model per stage, which divide the time that stages wait
 * (Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using
 * Megatron-LM", 2021, section 2.2.2). Micro-batches go through a chunk in groups of as many as
 * there are stages.
 */
record Interleaved() implements Schedule {
  @Override
  public String name() {
    return "interleaved";
  }

  @Override
  public int usualChunks() {
    return 2;
  }

  @Override
  public Optional<String> obstacle(Setting setting) {
    if (setting.chunks() < 2) {
      return Optional.of(
          "needs at least 2 chunks per stage, found --chunks "
              + setting.chunks()
              + ": write --chunks 2 or take --schedule 1f1b");
    }
    if (setting.microBatches() % setting.stages() != 0) {
      int groups = setting.microBatches() / setting.stages() + 1;
      return Optional.of(
          "needs micro-batches in groups of as many as there are stages, found --stages "
              + setting.stages()
              + " --micro-batches "
              + setting.microBatches()
              + ": change --micro-batches to "
              + groups * setting.stages()
              + " or take --schedule 1f1b");
    }
    return Optional.empty();
  }

  @Override
  public List<Action> stage(Setting setting, int stage) {
    int total = setting.microBatches() * setting.chunks();
    int ahead =
        Math.min(
            total, 2 * (setting.stages() - 1 - stage) + (setting.chunks() - 1) * setting.stages());
    var actions = new ArrayList<Action>();
    for (int step = 0; step < total + ahead; step++) {
      if (step < total) {
        actions.add(visit(Work.FORWARD, setting, step));
      }
      if (step >= ahead) {
        actions.add(visit(Work.BACKWARD, setting, step - ahead));
      }
    }
    return actions;
  }

  /** The chunks take turns, a group of micro-batches each; backwards the last chunk begins. */
  private static Action visit(Work work, Setting setting, int count) {
    int turn = count / setting.stages();
    int chunk = turn % setting.chunks();
    int microBatch = turn / setting.chunks() * setting.stages() + count % setting.stages();
    return new Action(
        work, microBatch, work == Work.FORWARD ? chunk : setting.chunks() - 1 - chunk);
  }
}
