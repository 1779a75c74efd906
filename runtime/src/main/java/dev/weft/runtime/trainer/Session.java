package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.trace.Parameter;
import dev.weft.engine.device.Device;
import dev.weft.engine.device.DeviceBuffer;
import dev.weft.engine.program.CallTime;
import dev.weft.engine.program.Executable;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.nn.step.Initialization;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.Safetensors;
import dev.weft.runtime.checkpoint.TensorData;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/** A model on a device with its optimizer: computes steps, evaluates, saves and restores. */
public final class Session implements Learner {
  /**
   * What a session trains.
   *
   * @param model takes the scope and the data by name
   * @param data the types of a micro-batch by name; the first dim is the batch's
   * @param microBatches parts that a step's batch is computed in
   * @param parameterType f32 or f64
   * @param clip the largest norm of the gradient; 0 for no limit
   * @param seed of parameters and dropout
   * @param threads cores used
   * @param budget the most bytes of device memory
   */
  public record Spec(
      StepGraphs.Model model,
      SequencedMap<String, TensorType> data,
      int microBatches,
      DataType parameterType,
      Optimizer optimizer,
      double clip,
      long seed,
      int threads,
      Bytes budget) {}

  private final Spec spec;
  private final Device device;
  private final StepGraphs graphs;
  private final Optimizer optimizer;
  private final Map<String, DeviceBuffer> buffers = new HashMap<>();
  private final Executable micro;
  private final @Nullable Executable microNext;
  private final Executable norm;
  private final Executable update;
  private final Executable evaluate;
  private final DeviceBuffer weight;
  private final Bytes predictedPeak;

  private Session(Spec spec, Device device) {
    this.spec = spec;
    this.device = device;
    this.optimizer = spec.optimizer();
    this.graphs =
        StepGraphs.forOneDevice(
            spec.model(), spec.data(), spec.parameterType(), optimizer, spec.clip());
    for (Parameter parameter : graphs.parameters()) {
      allocate(parameter.name(), parameter.type());
      for (String slot : optimizer.slots(parameter)) {
        allocate(parameter.name() + "." + slot, parameter.type());
      }
    }
    spec.data().forEach(this::allocate);
    for (String fact : List.of("seed", "step", "row")) {
      allocate("fact." + fact, TensorType.scalar(DataType.I64));
    }
    for (String fact :
        List.of("learning_rate", "step", "divisor", "weight", StepGraphs.MICRO_BATCHES)) {
      allocate(fact, TensorType.scalar(DataType.F32));
    }
    this.weight = buffer("weight");
    this.micro = load(graphs.micro());
    for (int i = 0; i < graphs.parameters().size(); i++) {
      buffers.put(graphs.parameters().get(i).name() + ".sum", micro.output(2 + i));
    }
    this.microNext = spec.microBatches() > 1 ? load(graphs.microNext()) : null;
    this.norm = load(graphs.norm());
    buffers.put("divisor", norm.output(1));
    this.update = load(graphs.update());
    this.evaluate = load(graphs.evaluate());
    this.predictedPeak = device.predictedPeak();
    device.reserve();
  }

  /** The session of a token model's configuration. */
  public static Session open(TrainConfig config) {
    return open(config, Map.of());
  }

  /**
   * The session of a token model's configuration.
   *
   * @param routes of ops as a run before had them; others are chosen by measurement
   */
  static Session open(TrainConfig config, Map<String, Route> routes) {
    return open(spec(config), Machine.routes(routes));
  }

  /** What a configuration trains. */
  public static Spec spec(TrainConfig config) {
    Optional<ImageTask.Kind> kind = ImageTask.Kind.of(config.model());
    if (kind.isPresent()) {
      return spec(config, ImageTask.model(config, kind.get()), ImageTask.data(config, kind.get()));
    }
    if (config.model().equals(PointTask.MODEL)) {
      return spec(config, PointTask.model(config), PointTask.data(config));
    }
    TokenModel model = Models.load(config.model(), config.classpath());
    TensorType tokens = TensorType.of(DataType.I64, config.microBatchRows(), config.sequence());
    var data = new LinkedHashMap<String, TensorType>();
    data.put("tokens", tokens);
    data.put("targets", tokens);
    return spec(
        config,
        (scope, batch) ->
            model.loss(
                scope,
                config.modelConfig(),
                Objects.requireNonNull(batch.get("tokens")),
                Objects.requireNonNull(batch.get("targets"))),
        data);
  }

  private static Spec spec(
      TrainConfig config, StepGraphs.Model model, SequencedMap<String, TensorType> data) {
    return new Spec(
        model,
        data,
        config.microBatches(),
        config.computeType(),
        config.optimizerRule(),
        config.clip(),
        config.seed(),
        config.threads() == 0 ? Runtime.getRuntime().availableProcessors() : config.threads(),
        config.deviceMemory().isEmpty()
            ? Bytes.of(Machine.memory().count() / 10 * 9)
            : Bytes.parse(config.deviceMemory()));
  }

  /** Opens a device and makes the model ready; parameters hold zeros until {@link #initialize}. */
  public static Session open(Spec spec) {
    return open(spec, Machine.routes(Map.of()));
  }

  private static Session open(Spec spec, Routes routes) {
    Device device = Device.open(DeviceKind.CPU, spec.threads(), spec.budget(), routes);
    try {
      return new Session(spec, device);
    } catch (RuntimeException e) {
      device.close();
      throw e;
    }
  }

  private void allocate(String name, TensorType type) {
    buffers.put(name, device.allocate(name, type));
  }

  private DeviceBuffer buffer(String name) {
    return Objects.requireNonNull(buffers.get(name), name);
  }

  private Executable load(Graph graph) {
    Map<Value, DeviceBuffer> bound = new HashMap<>();
    for (Graph.Input input : graph.inputs()) {
      String name = input.value().name();
      boolean fact = input.kind() == Graph.Kind.FACT && input.value().dtype() == DataType.I64;
      bound.put(input.value(), buffer(fact ? "fact." + name : name));
    }
    return device.load(graph, bound);
  }

  @Override
  public void initialize() {
    for (Parameter parameter : graphs.parameters()) {
      Initialization.fill(parameter, spec.seed(), buffer(parameter.name()).segment());
    }
  }

  public Device device() {
    return device;
  }

  public StepGraphs graphs() {
    return graphs;
  }

  /** The device memory of a parameter. */
  public DeviceBuffer parameter(String name) {
    return buffer(name);
  }

  @Override
  public StepResult step(long step, double learningRate, BatchSource batches) {
    setLong("fact.seed", spec.seed());
    setLong("fact.step", step);
    double sum = 0;
    double count = 0;
    for (int part = 0; part < spec.microBatches(); part++) {
      setLong("fact.row", part * rows());
      batches.load(part, name -> buffer(name).segment());
      Executable executable = part == 0 || microNext == null ? micro : microNext;
      executable.run();
      double loss = scalar(executable.output(0));
      if (!Double.isFinite(loss)) {
        throw new NonFiniteException(step, "loss", executable.firstNonFinite());
      }
      sum += loss;
      count += scalar(executable.output(1));
    }
    setFloat(weight, (float) count);
    norm.run();
    double gradientNorm = scalar(norm.output(0));
    if (!Double.isFinite(gradientNorm)) {
      throw new NonFiniteException(step, "gradient", micro.firstNonFinite());
    }
    setFloat(buffer("learning_rate"), (float) learningRate);
    setFloat(buffer("step"), (float) step);
    setFloat(buffer(StepGraphs.MICRO_BATCHES), spec.microBatches());
    update.run();
    return new StepResult(sum / Math.max(1, count), gradientNorm);
  }

  /** Rows of a micro-batch. */
  private long rows() {
    return spec.data().firstEntry().getValue().size(0);
  }

  @Override
  public SequencedMap<String, Double> measure(int batches, BatchSource source) {
    return means(
        graphs,
        batches,
        batch -> {
          source.load(batch, name -> buffer(name).segment());
          evaluate.run();
        },
        evaluate::output);
  }

  /**
   * The means over batches of what evaluation measures.
   *
   * @param run evaluates a batch
   * @param output of {@link StepGraphs#evaluate} after that
   */
  static SequencedMap<String, Double> means(
      StepGraphs graphs, int batches, IntConsumer run, IntFunction<DeviceBuffer> output) {
    var names = new ArrayList<>(List.of(LOSS));
    names.addAll(graphs.measures());
    double[] sums = new double[names.size()];
    double count = 0;
    for (int batch = 0; batch < batches; batch++) {
      run.accept(batch);
      sums[0] += scalar(output.apply(0));
      count += scalar(output.apply(1));
      for (int measure = 1; measure < sums.length; measure++) {
        sums[measure] += scalar(output.apply(1 + measure));
      }
    }
    var means = new LinkedHashMap<String, Double>();
    for (int i = 0; i < sums.length; i++) {
      means.put(names.get(i), sums[i] / count);
    }
    return means;
  }

  /** Has all steps from now on time each call. */
  public void startProfile() {
    executables().forEach(Executable::startProfile);
  }

  /** What each call took since {@link #startProfile}. */
  public List<CallTime> profile() {
    return executables().stream().flatMap(e -> e.profile().stream()).toList();
  }

  @Override
  public double flopsPerStep() {
    return micro.flops() * spec.microBatches() + norm.flops() + update.flops();
  }

  @Override
  public Bytes predictedPeak() {
    return predictedPeak;
  }

  @Override
  public Bytes memory() {
    return device.memory().current();
  }

  @Override
  public Bytes peakMemory() {
    return device.memory().peak();
  }

  @Override
  public int threads() {
    return device.threads();
  }

  @Override
  public Map<String, Route> routes() {
    return device.routes().used();
  }

  private List<Executable> executables() {
    var all = new ArrayList<>(List.of(micro, norm, update, evaluate));
    if (microNext != null) {
      all.add(microNext);
    }
    return all;
  }

  @Override
  public SequencedMap<String, TensorData> model() {
    var tensors = new LinkedHashMap<String, TensorData>();
    for (Parameter parameter : graphs.parameters()) {
      slices(parameter, buffer(parameter.name()).segment(), "", tensors);
    }
    return tensors;
  }

  @Override
  public SequencedMap<String, TensorData> optimizer() {
    var tensors = new LinkedHashMap<String, TensorData>();
    for (Parameter parameter : graphs.parameters()) {
      for (String slot : optimizer.slots(parameter)) {
        MemorySegment whole = buffer(parameter.name() + "." + slot).segment();
        slices(parameter, whole, "." + slot, tensors);
      }
    }
    return tensors;
  }

  static void slices(
      Parameter parameter, MemorySegment whole, String suffix, Map<String, TensorData> tensors) {
    long bytes = parameter.sliceType().bytes();
    long offset = 0;
    for (String name : parameter.sliceNames()) {
      tensors.put(
          name + suffix, new TensorData(parameter.sliceType(), whole.asSlice(offset, bytes)));
      offset += bytes;
    }
  }

  @Override
  public void restore(Checkpoint checkpoint, boolean withOptimizer) {
    restore(checkpoint.model(), model());
    if (withOptimizer) {
      restore(checkpoint.optimizer(), optimizer());
    }
  }

  static void restore(Safetensors file, Map<String, TensorData> targets) {
    var types = new LinkedHashMap<String, TensorType>();
    targets.forEach((name, tensor) -> types.put(name, tensor.type()));
    file.require(types);
    targets.forEach((name, tensor) -> tensor.data().copyFrom(file.tensor(name).data()));
  }

  private void setLong(String name, long value) {
    buffer(name).segment().set(ValueLayout.JAVA_LONG, 0, value);
  }

  private static void setFloat(DeviceBuffer buffer, float value) {
    buffer.segment().set(ValueLayout.JAVA_FLOAT, 0, value);
  }

  static double scalar(DeviceBuffer buffer) {
    return buffer.type().dtype() == DataType.F64
        ? buffer.segment().get(ValueLayout.JAVA_DOUBLE, 0)
        : buffer.segment().get(ValueLayout.JAVA_FLOAT, 0);
  }

  @Override
  public void close() {
    device.close();
  }
}
