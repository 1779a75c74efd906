package dev.weft.runtime.worker;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Mesh;
import dev.weft.engine.device.Device;
import dev.weft.engine.program.Routes;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;

/**
 * The devices of all stages, embedded in this process, and the programs that they run. What a
 * program keeps, another finds under the same name.
 */
public final class Pipeline implements AutoCloseable {
  private final List<DeviceGroup> groups = new ArrayList<>();
  private final List<StageMemory> memories = new ArrayList<>();

  private Pipeline() {}

  /**
   * Opens the devices of all stages.
   *
   * @param meshes of the stages
   * @param threads cores that each device's kernels use
   * @param budget the most bytes that each device may hold
   * @param routes chooses how ops are computed
   */
  public static Pipeline open(
      DeviceKind kind, List<Mesh> meshes, int threads, Bytes budget, Routes routes) {
    var pipeline = new Pipeline();
    try {
      for (Mesh mesh : meshes) {
        DeviceGroup group =
            DeviceGroup.open(kind, mesh, threads, budget, routes, DeviceGroup.PATIENCE);
        pipeline.groups.add(group);
        pipeline.memories.add(new StageMemory(group));
      }
      return pipeline;
    } catch (RuntimeException e) {
      pipeline.close();
      throw e;
    }
  }

  /**
   * Makes a program ready: allocates what it holds.
   *
   * @throws dev.weft.engine.buffer.OutOfDeviceMemoryException if a stage does not fit its devices
   */
  public LoadedProgram load(CompiledProgram compiled) {
    var stages = new ArrayList<LoadedStage>();
    for (CompiledStage stage : compiled.stages()) {
      int number = stage.stage().stage();
      stages.add(new LoadedStage(stage, groups.get(number), memories.get(number)));
    }
    return new LoadedProgram(compiled.program(), stages);
  }

  /**
   * Does something that runs programs one after the other. A device that is alone does it on its
   * own thread, so that no other must be woken between them.
   */
  public <T> T inTurn(Supplier<T> programs) {
    DeviceGroup first = groups.getFirst();
    return groups.size() == 1 && first.size() == 1
        ? first.device(0).thread().execute(programs::get)
        : programs.get();
  }

  /**
   * Runs a program once.
   *
   * @param watched names of scalars to be read whenever they are made
   * @return the scalars' values by name, in the order of micro-batches, and what happened when
   * @throws dev.weft.runtime.collective.DeviceFailedException if a device fails: the pipeline is of
   *     no more use then
   */
  public Watched run(LoadedProgram program, StepSource source, Set<String> watched) {
    var run = new ProgramRun(program, source, watched, false);
    RunRecord record = run.run();
    var values = new LinkedHashMap<String, List<Double>>();
    for (String name : watched) {
      var found = new ArrayList<Double>();
      for (int microBatch = -1; microBatch < program.program().microBatches(); microBatch++) {
        if (run.saw(name, microBatch)) {
          found.add(run.seen(name, microBatch));
        }
      }
      values.put(name, List.copyOf(found));
    }
    return new Watched(values, record);
  }

  /**
   * Scalars that a run made.
   *
   * @param values by name, in the order of micro-batches
   * @param record what happened when
   */
  public record Watched(Map<String, List<Double>> values, RunRecord record) {
    /** The values of that name; empty if it was not watched. */
    public List<Double> of(String name) {
      return values.getOrDefault(name, List.of());
    }
  }

  /** Runs a program once more, op by op, and names the first op whose result is not finite. */
  public Optional<String> firstNonFinite(LoadedProgram program, StepSource source) {
    var run = new ProgramRun(program, source, Set.of(), true);
    run.run();
    return run.firstNonFinite();
  }

  /** What a stage keeps under a name between programs. */
  public ShardedBuffer kept(int stage, String name) {
    return memories.get(stage).kept(name);
  }

  public int stages() {
    return groups.size();
  }

  public DeviceGroup group(int stage) {
    return groups.get(stage);
  }

  /** The largest figure of all devices. */
  public long most(ToLongFunction<Device> ofDevice) {
    long most = 0;
    for (DeviceGroup group : groups) {
      for (int device = 0; device < group.size(); device++) {
        most = Math.max(most, ofDevice.applyAsLong(group.device(device)));
      }
    }
    return most;
  }

  /** Does something with every device. */
  public void forEach(Consumer<Device> action) {
    for (DeviceGroup group : groups) {
      for (int device = 0; device < group.size(); device++) {
        action.accept(group.device(device));
      }
    }
  }

  @Override
  public void close() {
    groups.forEach(DeviceGroup::close);
  }
}
