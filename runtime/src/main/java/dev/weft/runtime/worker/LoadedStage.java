package dev.weft.runtime.worker;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Queue;
import dev.weft.core.program.StageBuilder;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.CallTime;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One stage of a program on its devices: every fragment compiled once, and bound to each choice of
 * slots that the steps run it on.
 */
final class LoadedStage {
  /** A fragment on a choice of slots: those of the pools that it does not touch do not count. */
  private record Place(int fragment, List<Integer> slots) {}

  private final StageProgram stage;
  private final DeviceGroup group;
  private final Bytes bucket;
  private final List<List<ShardedBuffer>> tensors;
  private final List<@Nullable GroupProgram> programs = new ArrayList<>();
  private final Map<Place, GroupProgram> loaded = new HashMap<>();
  private final Map<Queue, List<Integer>> queues = new EnumMap<>(Queue.class);
  private final List<List<Integer>> fed;

  LoadedStage(StageProgram stage, DeviceGroup group, StageMemory memory, Bytes bucket) {
    this.stage = stage;
    this.group = group;
    this.bucket = bucket;
    this.tensors = memory.of(stage);
    Map<Integer, Place> first = new HashMap<>();
    for (Step step : stage.steps()) {
      queues.computeIfAbsent(step.queue(), _ -> new ArrayList<>()).add(programs.size());
      programs.add(step instanceof Step.Run run ? program(run, first) : null);
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

  private GroupProgram program(Step.Run run, Map<Integer, Place> first) {
    Place place = place(run);
    GroupProgram known = loaded.get(place);
    if (known != null) {
      return known;
    }
    Fragment fragment = stage.fragments().get(run.fragment());
    Place original = first.putIfAbsent(run.fragment(), place);
    GroupProgram program =
        original == null
            ? load(fragment, place)
            : group.load(
                Objects.requireNonNull(loaded.get(original)), moved(fragment, original, place));
    loaded.put(place, program);
    return program;
  }

  private Place place(Step.Run run) {
    Fragment fragment = stage.fragments().get(run.fragment());
    Set<Integer> touched = new HashSet<>();
    fragment.inputs().forEach(b -> touched.add(stage.buffers().get(b).pool()));
    fragment.outputs().forEach(b -> touched.add(stage.buffers().get(b).pool()));
    var slots = new ArrayList<Integer>();
    for (int pool = 0; pool < stage.pools().size(); pool++) {
      slots.add(touched.contains(pool) ? run.slots().get(pool) : 0);
    }
    return new Place(run.fragment(), List.copyOf(slots));
  }

  private GroupProgram load(Fragment fragment, Place place) {
    Graph graph = fragment.graph();
    var bound = new ArrayList<Map<Value, DeviceBuffer>>();
    var given = new ArrayList<Map<Integer, DeviceBuffer>>();
    for (int device = 0; device < group.size(); device++) {
      Map<Value, DeviceBuffer> inputs = new HashMap<>();
      for (int i = 0; i < graph.inputs().size(); i++) {
        inputs.put(
            graph.inputs().get(i).value(), tensor(fragment.inputs().get(i), place).on(device));
      }
      Map<Integer, DeviceBuffer> outputs = new HashMap<>();
      for (int i = 0; i < graph.outputs().size(); i++) {
        outputs.put(i, tensor(fragment.outputs().get(i), place).on(device));
      }
      bound.add(inputs);
      given.add(outputs);
    }
    return group.load(graph.withName(fragment.name()), bound, given, bucket);
  }

  private List<Map<DeviceBuffer, DeviceBuffer>> moved(Fragment fragment, Place from, Place to) {
    var maps = new ArrayList<Map<DeviceBuffer, DeviceBuffer>>();
    Set<Integer> buffers = new HashSet<>(fragment.inputs());
    buffers.addAll(fragment.outputs());
    for (int device = 0; device < group.size(); device++) {
      Map<DeviceBuffer, DeviceBuffer> map = new HashMap<>();
      for (int buffer : buffers) {
        map.put(tensor(buffer, from).on(device), tensor(buffer, to).on(device));
      }
      maps.add(map);
    }
    return maps;
  }

  private ShardedBuffer tensor(int buffer, Place place) {
    return tensor(buffer, place.slots().get(stage.buffers().get(buffer).pool()));
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
