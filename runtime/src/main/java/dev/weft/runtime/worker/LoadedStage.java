package dev.weft.runtime.worker;

import dev.weft.core.program.Fragment;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageBuilder;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.CallTime;
import dev.weft.engine.program.Place;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One stage of a program on its devices: every fragment bound to each choice of slots that the
 * steps run it on.
 */
final class LoadedStage {
  /** A fragment on a choice of slots: those of the pools that it does not touch do not count. */
  private record Placed(int fragment, List<Integer> slots) {}

  private final StageProgram stage;
  private final CompiledStage compiled;
  private final DeviceGroup group;
  private final List<List<ShardedBuffer>> tensors;
  private final List<@Nullable GroupProgram> programs = new ArrayList<>();
  private final Map<Placed, GroupProgram> loaded = new HashMap<>();
  private final Map<Queue, List<Integer>> queues = new EnumMap<>(Queue.class);
  private final List<List<Integer>> fed;

  LoadedStage(CompiledStage compiled, DeviceGroup group, StageMemory memory) {
    this.stage = compiled.stage();
    this.compiled = compiled;
    this.group = group;
    this.tensors = memory.of(stage);
    for (Step step : stage.steps()) {
      queues.computeIfAbsent(step.queue(), _ -> new ArrayList<>()).add(programs.size());
      programs.add(
          step instanceof Step.Run run
              ? loaded.computeIfAbsent(new Placed(run.fragment(), stage.touched(run)), this::load)
              : null);
    }
    this.fed = fed(stage);
  }

  private static List<List<Integer>> fed(StageProgram stage) {
    var pools = new ArrayList<List<Integer>>();
    stage.pools().forEach(_ -> pools.add(new ArrayList<>()));
    for (int i = 0; i < stage.buffers().size(); i++) {
      if (StageBuilder.isFed(stage.buffers().get(i))) {
        pools.get(stage.buffers().get(i).pool()).add(i);
      }
    }
    return pools;
  }

  private GroupProgram load(Placed placed) {
    Fragment fragment = stage.fragments().get(placed.fragment());
    Set<Integer> buffers = new HashSet<>(fragment.inputs());
    buffers.addAll(fragment.outputs());
    var memory = new ArrayList<Map<Place, DeviceBuffer>>();
    for (int device = 0; device < group.size(); device++) {
      Map<Place, DeviceBuffer> own = new HashMap<>();
      for (int buffer : buffers) {
        int slot = placed.slots().get(stage.buffers().get(buffer).pool());
        own.put(compiled.places().get(buffer), tensor(buffer, slot).on(device));
      }
      memory.add(own);
    }
    return group.load(compiled.fragment(placed.fragment()), memory);
  }

  /** The tensor of a buffer in a slot. */
  ShardedBuffer tensor(int buffer, int slot) {
    return tensors.get(buffer).get(slot);
  }

  StageProgram stage() {
    return stage;
  }

  DeviceGroup group() {
    return group;
  }

  /** The steps of a queue, in order. */
  List<Integer> steps(Queue queue) {
    return queues.getOrDefault(queue, List.of());
  }

  /** The buffers of a pool that take data and facts from the host. */
  List<Integer> fed(int pool) {
    return fed.get(pool);
  }

  /** What a step runs; null where it runs nothing. */
  @Nullable GroupProgram program(int step) {
    return programs.get(step);
  }

  /**
   * Floating point operations of all runs of the stage, on all its devices, but for what is only
   * made again.
   */
  double flops() {
    double flops = 0;
    for (int i = 0; i < programs.size(); i++) {
      GroupProgram program = programs.get(i);
      if (program != null
          && stage.steps().get(i) instanceof Step.Run run
          && stage.fragments().get(run.fragment()).work() != Work.RECOMPUTE) {
        flops += program.flops() * group.size();
      }
    }
    return flops;
  }

  void startProfile() {
    loaded.values().forEach(GroupProgram::startProfile);
  }

  /** What each call took on the first device. */
  Stream<CallTime> profile() {
    return loaded.values().stream().flatMap(program -> program.on(0).profile().stream());
  }

  void close() {
    loaded.values().forEach(GroupProgram::close);
  }
}
