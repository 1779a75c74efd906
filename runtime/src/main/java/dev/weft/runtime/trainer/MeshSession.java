package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.trace.Parameter;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.nn.step.Initialization;
import dev.weft.nn.step.ShardedStep;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.Safetensors;
import dev.weft.runtime.checkpoint.TensorData;
import dev.weft.runtime.worker.DeviceGroup;
import dev.weft.runtime.worker.GroupProgram;
import dev.weft.runtime.worker.ShardedBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.function.Function;

/**
 * A model with its optimizer on the devices of a mesh, all in this process: parameters, slots and
 * gradients lie on the devices as the model's annotations and ZeRO say.
 */
public final class MeshSession implements Learner {
  /** A graph on all devices: how often it runs in a row, and where its inputs lie. */
  private record Stage(GroupProgram program, int count, Map<String, ShardedBuffer> inputs) {}

  private final Session.Spec spec;
  private final DeviceGroup group;
  private final StepGraphs graphs;
  private final Map<String, ShardedBuffer> kept = new HashMap<>();
  private final Map<String, MemorySegment> staged = new HashMap<>();
  private final List<Stage> passes = new ArrayList<>();
  private final Stage norm;
  private final Stage update;
  private final Stage evaluate;
  private final List<String> remarks;
  private final Bytes bucket;
  private final Bytes predictedPeak;

  private MeshSession(Session.Spec spec, DeviceGroup group, int zero, Bytes bucket) {
    this.spec = spec;
    this.group = group;
    this.bucket = bucket;
    this.graphs =
        StepGraphs.of(
            spec.model(), spec.data(), spec.parameterType(), spec.optimizer(), spec.clip());
    ShardedStep step = ShardedStep.of(graphs, group.mesh(), zero, spec.microBatches());
    this.remarks = step.remarks();
    spec.data()
        .forEach((name, type) -> staged.put(name, Arena.ofAuto().allocate(type.bytes(), 64)));
    Map<String, ShardedBuffer> gradients = new HashMap<>();
    for (ShardedStep.Pass pass : step.passes()) {
      Stage stage = load(pass.half(), pass.count(), gradients);
      passes.add(stage);
      for (int i = 0; i < graphs.parameters().size(); i++) {
        String name = graphs.parameters().get(i).name() + ".sum";
        gradients.put(name, output(stage, pass.half(), 2 + i));
      }
    }
    this.norm = load(step.norm(), 1, gradients);
    gradients.put("divisor", output(norm, step.norm(), 1));
    this.update = load(step.update(), 1, gradients);
    this.evaluate = load(step.evaluate(), 1, Map.of());
    this.predictedPeak = most(Device::predictedPeak);
    for (int device = 0; device < group.size(); device++) {
      group.device(device).reserve();
    }
  }

  /**
   * The session of a configuration that names devices or a mesh.
   *
   * @param routes of ops as a run before had them; others are chosen by measurement
   * @throws dev.weft.core.cluster.UserException if mesh and devices do not go together, or the
   *     model's annotations do not know an axis of the mesh
   */
  static MeshSession open(TrainConfig config, Map<String, Route> routes) {
    return open(
        Session.spec(config),
        config.resolvedMesh(),
        config.zero(),
        config.bucket(),
        Machine.routes(routes));
  }

  /**
   * Opens the devices of a mesh and makes the model ready on them.
   *
   * @param spec its threads and its budget are those of all devices together
   * @param zero the stage of ZeRO, 0 to 3
   * @param bucket the most bytes of gradients that are reduced in one collective
   */
  public static MeshSession open(Session.Spec spec, Mesh mesh, int zero, Bytes bucket) {
    return open(spec, mesh, zero, bucket, Machine.routes(Map.of()));
  }

  private static MeshSession open(
      Session.Spec spec, Mesh mesh, int zero, Bytes bucket, Routes routes) {
    DeviceGroup group =
        DeviceGroup.open(
            DeviceKind.CPU,
            mesh,
            Math.max(1, spec.threads() / mesh.size()),
            Bytes.of(spec.budget().count() / mesh.size()),
            routes,
            DeviceGroup.PATIENCE);
    try {
      return new MeshSession(spec, group, zero, bucket);
    } catch (RuntimeException e) {
      group.close();
      throw e;
    }
  }

  private Stage load(ShardedStep.Half half, int count, Map<String, ShardedBuffer> gradients) {
    Graph program = half.program();
    Graph local = half.partitioned().graph();
    List<Map<Value, DeviceBuffer>> bound = new ArrayList<>();
    for (int device = 0; device < group.size(); device++) {
      bound.add(new HashMap<>());
    }
    Map<String, ShardedBuffer> inputs = new LinkedHashMap<>();
    for (int i = 0; i < program.inputs().size(); i++) {
      Graph.Input input = program.inputs().get(i);
      String name = input.value().name();
      boolean fact = input.kind() == Graph.Kind.FACT && input.value().dtype() == DataType.I64;
      Layout layout = half.partitioned().inputs().get(i);
      ShardedBuffer buffer = gradients.get(name);
      if (buffer == null) {
        buffer = kept(fact ? "fact." + name : name, input.value().type(), layout);
      }
      if (!buffer.layout().equals(layout)) {
        throw new IllegalStateException(
            name + " lies as " + buffer.layout() + ", " + local.name() + " takes it as " + layout);
      }
      inputs.put(fact ? "fact." + name : name, buffer);
      for (int device = 0; device < group.size(); device++) {
        bound.get(device).put(local.inputs().get(i).value(), buffer.on(device));
      }
    }
    return new Stage(group.load(local, bound, bucket), count, inputs);
  }

  /** Memory that lives as long as the session; data may lie differently for different graphs. */
  private ShardedBuffer kept(String name, TensorType type, Layout layout) {
    String key = spec.data().containsKey(name) ? name + " " + layout : name;
    ShardedBuffer known = kept.get(key);
    if (known == null) {
      known = ShardedBuffer.allocate(group, name, type, layout);
      kept.put(key, known);
    }
    return known;
  }

  private ShardedBuffer kept(String name) {
    return Objects.requireNonNull(kept.get(name), name);
  }

  private ShardedBuffer output(Stage stage, ShardedStep.Half half, int index) {
    return ShardedBuffer.of(
        group,
        stage.program(),
        index,
        half.program().outputs().get(index).value().type(),
        half.partitioned().outputs().get(index));
  }

  public StepGraphs graphs() {
    return graphs;
  }

  public DeviceGroup group() {
    return group;
  }

  @Override
  public void initialize() {
    for (Parameter parameter : graphs.parameters()) {
      try (Arena whole = Arena.ofShared()) {
        MemorySegment values = whole.allocate(parameter.type().bytes(), 64);
        Initialization.fill(parameter, spec.seed(), values);
        kept(parameter.name()).write(values);
      }
    }
  }

  @Override
  public StepResult step(long step, double learningRate, BatchSource batches) {
    double sum = 0;
    double count = 0;
    int part = 0;
    for (Stage pass : passes) {
      for (int i = 0; i < pass.count(); i++) {
        set(pass, "fact.seed", spec.seed());
        set(pass, "fact.step", step);
        set(pass, "fact.row", part * rows());
        load(pass, part++, batches);
        pass.program().run();
        double loss = Session.scalar(pass.program().output(0, 0));
        if (!Double.isFinite(loss)) {
          throw new NonFiniteException(step, "loss", pass.program().firstNonFinite());
        }
        sum += loss;
        count += Session.scalar(pass.program().output(0, 1));
      }
    }
    set(norm, "weight", (float) count);
    norm.program().run();
    double gradientNorm = Session.scalar(norm.program().output(0, 0));
    if (!Double.isFinite(gradientNorm)) {
      throw new NonFiniteException(step, "gradient", passes.getFirst().program().firstNonFinite());
    }
    set(update, "learning_rate", (float) learningRate);
    set(update, "step", (float) step);
    set(update, StepGraphs.MICRO_BATCHES, (float) spec.microBatches());
    update.program().run();
    return new StepResult(sum / Math.max(1, count), gradientNorm);
  }

  private void load(Stage stage, int part, BatchSource batches) {
    batches.load(part, name -> Objects.requireNonNull(staged.get(name), name));
    staged.forEach(
        (name, whole) -> {
          ShardedBuffer buffer = stage.inputs().get(name);
          if (buffer != null) {
            buffer.write(whole);
          }
        });
  }

  /** Rows of a micro-batch. */
  private long rows() {
    return spec.data().firstEntry().getValue().size(0);
  }

  @Override
  public SequencedMap<String, Double> measure(int batches, BatchSource source) {
    return Session.means(
        graphs,
        batches,
        batch -> {
          load(evaluate, batch, source);
          evaluate.program().run();
        },
        output -> evaluate.program().output(0, output));
  }

  @Override
  public double flopsPerStep() {
    double flops = norm.program().flops() + update.program().flops();
    for (Stage pass : passes) {
      flops += pass.program().flops() * pass.count();
    }
    return flops * group.size();
  }

  @Override
  public Bytes memory() {
    return most(device -> device.memory().current());
  }

  @Override
  public Bytes peakMemory() {
    return most(device -> device.memory().peak());
  }

  private Bytes most(Function<Device, Bytes> ofDevice) {
    long most = 0;
    for (int device = 0; device < group.size(); device++) {
      most = Math.max(most, ofDevice.apply(group.device(device)).count());
    }
    return Bytes.of(most);
  }

  @Override
  public Bytes predictedPeak() {
    return predictedPeak;
  }

  @Override
  public int threads() {
    return group.device(0).threads() * group.size();
  }

  @Override
  public Map<String, Route> routes() {
    return group.device(0).routes().used();
  }

  @Override
  public List<String> remarks() {
    return remarks;
  }

  @Override
  public SequencedMap<String, TensorData> model() {
    var tensors = new LinkedHashMap<String, TensorData>();
    for (Parameter parameter : graphs.parameters()) {
      Session.slices(parameter, whole(parameter.name()), "", tensors);
    }
    return tensors;
  }

  @Override
  public SequencedMap<String, TensorData> optimizer() {
    var tensors = new LinkedHashMap<String, TensorData>();
    for (Parameter parameter : graphs.parameters()) {
      for (String slot : spec.optimizer().slots(parameter)) {
        Session.slices(parameter, whole(parameter.name() + "." + slot), "." + slot, tensors);
      }
    }
    return tensors;
  }

  /** A tensor put together from the devices, a copy. */
  private MemorySegment whole(String name) {
    ShardedBuffer buffer = kept(name);
    MemorySegment copy = Arena.ofAuto().allocate(buffer.type().bytes(), 64);
    buffer.read(copy);
    return copy;
  }

  @Override
  public void restore(Checkpoint checkpoint, boolean withOptimizer) {
    SequencedMap<String, TensorData> parameters = model();
    Session.restore(checkpoint.model(), parameters);
    SequencedMap<String, TensorData> slots = withOptimizer ? optimizer() : new LinkedHashMap<>();
    if (withOptimizer) {
      Safetensors file = checkpoint.optimizer();
      Session.restore(file, slots);
    }
    for (Parameter parameter : graphs.parameters()) {
      write(parameter, parameter.name(), "", parameters);
      if (withOptimizer) {
        for (String slot : spec.optimizer().slots(parameter)) {
          write(parameter, parameter.name() + "." + slot, "." + slot, slots);
        }
      }
    }
  }

  private void write(
      Parameter parameter, String name, String suffix, Map<String, TensorData> tensors) {
    try (Arena temporary = Arena.ofShared()) {
      MemorySegment whole = temporary.allocate(parameter.type().bytes(), 64);
      long offset = 0;
      for (String slice : parameter.sliceNames()) {
        MemorySegment data = Objects.requireNonNull(tensors.get(slice + suffix)).data();
        MemorySegment.copy(data, 0, whole, offset, data.byteSize());
        offset += data.byteSize();
      }
      kept(name).write(whole);
    }
  }

  private void set(Stage stage, String name, long value) {
    ShardedBuffer buffer = stage.inputs().get(name);
    for (int device = 0; buffer != null && device < group.size(); device++) {
      buffer.on(device).segment().set(ValueLayout.JAVA_LONG, 0, value);
    }
  }

  private void set(Stage stage, String name, float value) {
    ShardedBuffer buffer = stage.inputs().get(name);
    for (int device = 0; buffer != null && device < group.size(); device++) {
      buffer.on(device).segment().set(ValueLayout.JAVA_FLOAT, 0, value);
    }
  }

  @Override
  public void close() {
    group.close();
  }
}
