package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.device.Device;
import dev.weft.engine.program.CallTime;
import dev.weft.engine.program.Route;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.PipelineStep;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.TensorData;
import dev.weft.runtime.collective.CollectiveCounters;
import dev.weft.runtime.data.EvaluationWindows;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.worker.Compilation;
import dev.weft.runtime.worker.LoadedProgram;
import dev.weft.runtime.worker.Pipeline;
import dev.weft.runtime.worker.RunRecord;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * A model with its optimizer on devices of this process, one or many: micro-batches flow through
 * stages, of which there may be one, as the programs of {@link PipelineStep} say.
 */
public final class Session implements AutoCloseable {
  /** The name of the mean loss among what is measured. */
  public static final String LOSS = "loss";

  /** What one step came to. */
  public record StepResult(double loss, double gradientNorm) {}

  /** Writes a micro-batch's data into memory. */
  @FunctionalInterface
  public interface BatchSource {
    void load(int microBatch, Function<String, MemorySegment> input);
  }

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

  /**
   * The memory of one device.
   *
   * @param predicted the most bytes that it will hold, known before the first step
   * @param peak the most that it held so far
   */
  public record MemoryUse(int stage, int device, Bytes predicted, Bytes peak) {}

  private static final long KIBIBYTE = 1024;

  private final Spec spec;
  private final CompiledStep compiled;
  private final PipelineStep step;
  private final Pipeline pipeline;
  private final LoadedProgram train;
  private final LoadedProgram norm;
  private final LoadedProgram update;
  private final LoadedProgram evaluate;
  private final Weights weights;

  private final StepInputs inputs;

  private List<RunRecord> lastStep = List.of();

  private Session(Spec spec, CompiledStep compiled, Pipeline pipeline) {
    this.spec = spec;
    this.compiled = compiled;
    this.pipeline = pipeline;
    this.step = compiled.step();
    List<LoadedProgram> loaded = compiled.programs().stream().map(pipeline::load).toList();
    this.train = loaded.get(0);
    this.norm = loaded.get(1);
    this.update = loaded.get(2);
    this.evaluate = loaded.get(3);
    this.weights = new Weights(step, pipeline, spec.optimizer());
    this.inputs = new StepInputs(spec.data(), step.train().microBatches(), spec.seed());
    pipeline.forEach(Device::reserve);
  }

  /**
   * The session of a configuration, on the devices that it names.
   *
   * @throws UserException if the model cannot be cut so, the schedule cannot run so, mesh and
   *     devices do not go together, the model's annotations do not know an axis of the mesh, or a
   *     stage does not fit its devices
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
    Padding.check(config);
    PipelinePlan plan = config.pipelinePlan();
    Compilation compilation = CompiledStep.compilation(config, plan, Machine.routes(routes), true);
    Bytes each = CompiledStep.each(config.budget(), plan);
    CompiledStep compiled = CompiledStep.of(config, plan, compilation, each);
    compiled
        .misfit(each)
        .ifPresent(
            misfit -> {
              throw new UserException(misfit + " " + mends(config, plan, compiled, each));
            });
    return open(spec(config), plan, compilation, compiled);
  }

  /** What would make a configuration fit. */
  private static String mends(
      TrainConfig config, PipelinePlan plan, CompiledStep compiled, Bytes each) {
    Predicate<TrainConfig> fits =
        changed ->
            CompiledStep.foretold(changed, Machine.rememberedRoutes())
                .fits(CompiledStep.each(changed.budget(), changed.pipelinePlan()));
    long most = Arrays.stream(compiled.needed()).max().orElseThrow();
    long all = Math.ceilDiv(most * plan.stages() * plan.mesh().size(), KIBIBYTE);
    ObjectNode change = ConfigTree.empty().put("device-memory", all + "KiB");
    boolean enough =
        all * KIBIBYTE <= Machine.memory().count()
            && fits.test(config.with(change, "what is tried"));
    return Mends.of(
        config,
        compiled.keepsLess(each),
        fits,
        enough ? List.of("--device-memory " + all + "KiB") : List.of());
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
   * Opens one device and makes the model ready on it; see {@link #initialize}.
   *
   * @throws UserException if it does not fit the device
   */
  public static Session open(Spec spec) {
    PipelinePlan plan = PipelinePlan.alone(spec.microBatches());
    // One device reduces nothing with others.
    var compilation =
        new Compilation(
            DeviceKind.CPU, spec.threads(), Machine.routes(Map.of()), Bytes.of(1), true);
    CompiledStep compiled = CompiledStep.of(spec, plan, compilation);
    compiled
        .misfit(spec.budget())
        .ifPresent(
            misfit -> {
              throw new UserException(misfit);
            });
    return open(spec, plan, compilation, compiled);
  }

  private static Session open(
      Spec spec, PipelinePlan plan, Compilation compilation, CompiledStep compiled) {
    Pipeline pipeline =
        Pipeline.open(
            compilation.kind(),
            Collections.nCopies(plan.stages(), plan.mesh()),
            compilation.threads(),
            CompiledStep.each(spec.budget(), plan),
            compilation.routes());
    try {
      return new Session(spec, compiled, pipeline);
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

  /** Gives all parameters their first values. */
  public void initialize() {
    weights.initialize(spec.seed());
  }

  /**
   * One step of training.
   *
   * @param number counting from 1
   * @throws NonFiniteException if the loss or the gradient is no number; parameters are unchanged
   */
  public StepResult step(long number, double learningRate, BatchSource batches) {
    inputs.begin(number);
    for (int part = 0; part < inputs.microBatches(); part++) {
      inputs.load(part, part, batches);
    }
    return pipeline.inTurn(() -> loadedStep(number, learningRate));
  }

  private StepResult loadedStep(long number, double learningRate) {
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

  /**
   * What the devices did in the last step: a record of each program that they ran, in order, the
   * one that makes gradients first.
   */
  public List<RunRecord> lastStep() {
    return lastStep;
  }

  /**
   * Means over batches of data, without training on them: the loss, under {@link #LOSS}, and what
   * the model measures besides, by name.
   */
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

  /** The mean loss over batches of data, without training on them. */
  public double evaluate(int batches, BatchSource source) {
    return Objects.requireNonNull(measure(batches, source).get(LOSS));
  }

  /** The mean loss per token over windows. */
  public double evaluate(EvaluationWindows windows) {
    return evaluate(
        Math.toIntExact(windows.batches()),
        (batch, input) -> windows.fill(batch, input.apply("tokens"), input.apply("targets")));
  }

  /** Floating point operations of one step, on all devices together. */
  public double flopsPerStep() {
    return train.flops() + norm.flops() + update.flops();
  }

  /** The memory of a device that is held now; of several devices that which holds most. */
  public Bytes memory() {
    return Bytes.of(pipeline.most(device -> device.memory().current().count()));
  }

  /** The most that was ever held. */
  public Bytes peakMemory() {
    return Bytes.of(pipeline.most(device -> device.memory().peak().count()));
  }

  /** The most bytes that training will hold on a device, known before the first step. */
  public Bytes predictedPeak() {
    return Bytes.of(Arrays.stream(compiled.needed()).max().orElse(0));
  }

  /** The memory of every device of every stage. */
  public List<MemoryUse> memoryUse() {
    var uses = new ArrayList<MemoryUse>();
    for (int stage = 0; stage < pipeline.stages(); stage++) {
      for (int device = 0; device < pipeline.group(stage).size(); device++) {
        uses.add(
            new MemoryUse(
                stage,
                device,
                Bytes.of(compiled.memory().get(stage).get(device).bytes()),
                pipeline.group(stage).device(device).memory().peak()));
      }
    }
    return uses;
  }

  /** Cores used by all devices together. */
  public int threads() {
    int threads = 0;
    for (int stage = 0; stage < pipeline.stages(); stage++) {
      threads += pipeline.group(stage).device(0).threads() * pipeline.group(stage).size();
    }
    return threads;
  }

  /** What a user may want to mend in how the model is split over devices, a sentence each. */
  public List<String> remarks() {
    return step.remarks();
  }

  /** How ops were computed so far, by op. */
  public Map<String, Route> routes() {
    return pipeline.group(0).device(0).routes().used();
  }

  /** Parameters by the names of their layers' parts. */
  public SequencedMap<String, TensorData> model() {
    return weights.model();
  }

  /** The optimizer's tensors by parameter and slot. */
  public SequencedMap<String, TensorData> optimizer() {
    return weights.optimizer();
  }

  /**
   * Takes over a checkpoint's parameters, and the optimizer's tensors where asked for.
   *
   * @throws UserException if it is damaged or of another model
   */
  public void restore(Checkpoint checkpoint, boolean withOptimizer) {
    weights.restore(checkpoint, withOptimizer);
  }

  @Override
  public void close() {
    pipeline.close();
  }
}
