package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.stage.Recomputation;
import dev.weft.engine.buffer.OutOfDeviceMemoryException;
import dev.weft.engine.buffer.Slab;
import dev.weft.engine.device.Device;
import dev.weft.engine.program.CallTime;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.nn.step.Fitting;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.PipelineStep;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.TensorData;
import dev.weft.runtime.collective.CollectiveCounters;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.worker.LoadedProgram;
import dev.weft.runtime.worker.Pipeline;
import dev.weft.runtime.worker.RunRecord;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;

/**
 * A model with its optimizer on devices of this process, one or many: micro-batches flow through
 * stages, of which there may be one, as the programs of {@link PipelineStep} say.
 */
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
  private final PipelineStep step;
  private final Pipeline pipeline;
  private final LoadedProgram train;
  private final LoadedProgram norm;
  private final LoadedProgram update;
  private final LoadedProgram evaluate;
  private final Weights weights;
  private final Bytes predictedPeak;

  private final StepInputs inputs;

  private List<RunRecord> lastStep = List.of();

  private Session(Spec spec, PipelinePlan plan, Pipeline pipeline) {
    this.spec = spec;
    this.pipeline = pipeline;
    this.step =
        PipelineStep.of(
            spec.model(), spec.data(), spec.parameterType(), spec.optimizer(), spec.clip(), plan);
    requireRoom();
    this.train = pipeline.load(step.train());
    this.norm = pipeline.load(step.norm());
    this.update = pipeline.load(step.update());
    this.evaluate = pipeline.load(step.evaluate());
    this.weights = new Weights(step, pipeline, spec.optimizer());
    this.inputs = new StepInputs(spec.data(), plan.microBatches(), spec.seed());
    this.predictedPeak = Bytes.of(pipeline.most(device -> device.predictedPeak().count()));
    pipeline.forEach(Device::reserve);
  }

  /**
   * The session of a configuration, on the devices that it names.
   *
   * @throws UserException if the model cannot be cut so, the schedule cannot run so, mesh and
   *     devices do not go together, or the model's annotations do not know an axis of the mesh
   */
  public static Session open(TrainConfig config) {
    return open(config, Map.of());
  }

  /**
   * The session of a configuration, on the devices that it names.
   *
   * @param routes of ops as a run before had them; others are chosen by measurement
   */
  static Session open(TrainConfig config, Map<String, Route> routes) {
    Spec spec = spec(config);
    PipelinePlan plan = config.pipelinePlan();
    Routes known = Machine.routes(routes);
    return config.recompute().equals(Recompute.AUTO)
        ? fitted(spec, plan, config.bucket(), known)
        : open(spec, plan, config.bucket(), known);
  }

  /**
   * The session whose stages keep as much for the backward as their memory allows: opened with
   * everything made again, it tells what is left.
   */
  private static Session fitted(Spec spec, PipelinePlan plan, Bytes bucket, Routes routes) {
    if (plan.pieces() == 1) {
      PipelinePlan all = plan.withRecomputation(_ -> new Recomputation.None());
      Optional<Session> whole = attempt(spec, all, bucket, routes);
      if (whole.isPresent()) {
        return whole.get();
      }
    }
    long budget = spec.budget().count() / (plan.stages() * plan.mesh().size());
    long[] needed = new long[plan.stages()];
    PipelineStep step;
    try (Session full = open(spec, plan, bucket, routes)) {
      step = full.step;
      for (int stage = 0; stage < needed.length; stage++) {
        needed[stage] = full.pipeline.group(stage).device(0).predictedPeak().count();
      }
    }
    Optional<Session> fitted =
        Fitting.fitted(plan, step, needed, budget, kept -> attempt(spec, kept, bucket, routes));
    return fitted.orElseGet(() -> open(spec, plan, bucket, routes));
  }

  /** The session, unless it does not fit its memory. */
  private static Optional<Session> attempt(
      Spec spec, PipelinePlan plan, Bytes bucket, Routes routes) {
    try {
      return Optional.of(open(spec, plan, bucket, routes));
    } catch (OutOfDeviceMemoryException | TooLargeException _) {
      return Optional.empty();
    }
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
        config.cores(),
        config.budget());
  }

  /**
   * Tells before anything is allocated which stage cannot hold what it must, and by how much. Where
   * there is one, the device itself names what does not fit.
   */
  private void requireRoom() {
    for (int stage = 0; pipeline.stages() > 1 && stage < pipeline.stages(); stage++) {
      Map<String, Long> held = new HashMap<>();
      for (Program program : List.of(step.train(), step.norm(), step.update(), step.evaluate())) {
        StageProgram own = program.stages().get(stage);
        for (Buffer buffer : own.buffers()) {
          long bytes = Slab.pages(buffer.local().bytes()) * own.pools().get(buffer.pool()).slots();
          held.merge(buffer.name(), bytes, Math::max);
        }
      }
      long needed = held.values().stream().mapToLong(b -> b).sum();
      long budget = pipeline.group(stage).device(0).memory().budget().count();
      if (needed > budget) {
        throw new TooLargeException(
            "stage %d of %d does not fit: each of its devices has %s and must hold %s besides what computing takes, %s too much. Raise --device-memory, take more --stages or --micro-batches, --recompute full or auto, or a smaller model or batch."
                .formatted(
                    stage,
                    pipeline.stages(),
                    Bytes.of(budget),
                    Bytes.of(needed),
                    Bytes.of(needed - budget)));
      }
    }
  }

  /** Opens one device and makes the model ready on it; see {@link #initialize}. */
  public static Session open(Spec spec) {
    return open(
        spec, PipelinePlan.alone(spec.microBatches()), NO_BUCKETS, Machine.routes(Map.of()));
  }

  /** One device reduces nothing with others. */
  private static final Bytes NO_BUCKETS = Bytes.of(1);

  private static Session open(Spec spec, PipelinePlan plan, Bytes bucket, Routes routes) {
    int devices = plan.stages() * plan.mesh().size();
    Pipeline pipeline =
        Pipeline.open(
            DeviceKind.CPU,
            Collections.nCopies(plan.stages(), plan.mesh()),
            Math.max(1, spec.threads() / devices),
            Bytes.of(spec.budget().count() / devices),
            bucket,
            routes);
    try {
      return new Session(spec, plan, pipeline);
    } catch (RuntimeException e) {
      pipeline.close();
      throw e;
    }
  }

  /** What a step runs. */
  public PipelineStep step() {
    return step;
  }

  /** What collectives cost the first device so far. */
  public CollectiveCounters collectives() {
    return pipeline.group(0).counters(0);
  }

  /** Has all steps from now on time each call. */
  public void startProfile() {
    programs().forEach(LoadedProgram::startProfile);
  }

  /** What each call took on the first device of each stage since {@link #startProfile}. */
  public List<CallTime> profile() {
    return programs().stream().flatMap(program -> program.profile().stream()).toList();
  }

  private List<LoadedProgram> programs() {
    return List.of(train, norm, update, evaluate);
  }

  @Override
  public void initialize() {
    weights.initialize(spec.seed());
  }

  @Override
  public StepResult step(long number, double learningRate, BatchSource batches) {
    inputs.begin(number);
    for (int part = 0; part < inputs.microBatches(); part++) {
      inputs.load(part, part, batches);
    }
    Pipeline.Watched seen = pipeline.run(train, inputs, Set.of(step.loss(), step.weight()));
    double sum = 0;
    double count = 0;
    for (int part = 0; part < inputs.microBatches(); part++) {
      double loss = seen.of(step.loss()).get(part);
      if (!Double.isFinite(loss)) {
        throw new NonFiniteException(number, "loss", pipeline.firstNonFinite(train, inputs));
      }
      sum += loss;
      count += seen.of(step.weight()).get(part);
    }
    inputs.set("weight", count);
    Pipeline.Watched normed = pipeline.run(norm, inputs, Set.of(PipelineStep.NORM));
    double gradientNorm = normed.of(PipelineStep.NORM).getFirst();
    if (!Double.isFinite(gradientNorm)) {
      throw new NonFiniteException(number, "gradient", pipeline.firstNonFinite(train, inputs));
    }
    inputs.set("learning_rate", learningRate);
    Pipeline.Watched updated = pipeline.run(update, inputs, Set.of());
    lastStep = List.of(seen.record(), normed.record(), updated.record());
    return new StepResult(sum / Math.max(1, count), gradientNorm);
  }

  @Override
  public List<RunRecord> lastStep() {
    return lastStep;
  }

  @Override
  public SequencedMap<String, Double> measure(int batches, BatchSource source) {
    List<String> outputs = step.measures();
    double[] sums = new double[outputs.size()];
    inputs.begin(0);
    for (int batch = 0; batch < batches; batch++) {
      inputs.load(0, batch, source);
      Pipeline.Watched seen = pipeline.run(evaluate, inputs, new HashSet<>(outputs));
      for (int i = 0; i < sums.length; i++) {
        sums[i] += seen.of(outputs.get(i)).getFirst();
      }
    }
    var means = new LinkedHashMap<String, Double>();
    means.put(LOSS, sums[0] / sums[1]);
    for (int i = 0; i < step.measureNames().size(); i++) {
      means.put(step.measureNames().get(i), sums[2 + i] / sums[1]);
    }
    return means;
  }

  @Override
  public double flopsPerStep() {
    return train.flops() + norm.flops() + update.flops();
  }

  @Override
  public Bytes memory() {
    return Bytes.of(pipeline.most(device -> device.memory().current().count()));
  }

  @Override
  public Bytes peakMemory() {
    return Bytes.of(pipeline.most(device -> device.memory().peak().count()));
  }

  @Override
  public Bytes predictedPeak() {
    return predictedPeak;
  }

  @Override
  public int threads() {
    int threads = 0;
    for (int stage = 0; stage < pipeline.stages(); stage++) {
      threads += pipeline.group(stage).device(0).threads() * pipeline.group(stage).size();
    }
    return threads;
  }

  @Override
  public List<String> remarks() {
    return step.remarks();
  }

  @Override
  public Map<String, Route> routes() {
    return pipeline.group(0).device(0).routes().used();
  }

  @Override
  public SequencedMap<String, TensorData> model() {
    return weights.model();
  }

  @Override
  public SequencedMap<String, TensorData> optimizer() {
    return weights.optimizer();
  }

  @Override
  public void restore(Checkpoint checkpoint, boolean withOptimizer) {
    weights.restore(checkpoint, withOptimizer);
  }

  @Override
  public void close() {
    pipeline.close();
  }
}
