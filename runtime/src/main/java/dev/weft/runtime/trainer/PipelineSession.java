package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.TensorType;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.stage.Recomputation;
import dev.weft.core.trace.Parameter;
import dev.weft.engine.buffer.Slab;
import dev.weft.engine.device.Device;
import dev.weft.engine.program.Route;
import dev.weft.engine.program.Routes;
import dev.weft.nn.step.Initialization;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.nn.step.PipelineStep;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.TensorData;
import dev.weft.runtime.worker.LoadedProgram;
import dev.weft.runtime.worker.Pipeline;
import dev.weft.runtime.worker.RunRecord;
import dev.weft.runtime.worker.ShardedBuffer;
import dev.weft.runtime.worker.StepSource;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
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
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * A model with its optimizer on stages of devices, all in this process: micro-batches flow through
 * the stages as the programs of {@link PipelineStep} say.
 */
public final class PipelineSession implements Learner {
  private final Session.Spec spec;
  private final PipelineStep step;
  private final Pipeline pipeline;
  private final LoadedProgram train;
  private final LoadedProgram norm;
  private final LoadedProgram update;
  private final LoadedProgram evaluate;
  private final Bytes predictedPeak;

  /** The data of every micro-batch of a step, by name. */
  private final List<Map<String, MemorySegment>> staged = new ArrayList<>();

  private List<RunRecord> lastStep = List.of();

  private PipelineSession(Session.Spec spec, PipelinePlan plan, Pipeline pipeline) {
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
    for (int i = 0; i < plan.microBatches(); i++) {
      Map<String, MemorySegment> data = new HashMap<>();
      spec.data()
          .forEach((name, type) -> data.put(name, Arena.ofAuto().allocate(type.bytes(), 64)));
      staged.add(data);
    }
    this.predictedPeak = Bytes.of(pipeline.most(device -> device.predictedPeak().count()));
    pipeline.forEach(Device::reserve);
  }

  /**
   * The session of a configuration that names stages.
   *
   * @param routes of ops as a run before had them; others are chosen by measurement
   * @throws dev.weft.core.cluster.UserException if the model cannot be cut so, or the schedule
   *     cannot run so
   */
  static PipelineSession open(TrainConfig config, Map<String, Route> routes) {
    Session.Spec spec = Session.spec(config);
    PipelinePlan plan = config.pipelinePlan();
    Routes known = Machine.routes(routes);
    return config.recompute().equals(Recompute.AUTO)
        ? fitted(spec, plan, known)
        : open(spec, plan, known);
  }

  /**
   * The session whose stages keep as much for the backward as their memory allows: opened with
   * everything made again, it tells what is left.
   */
  private static PipelineSession fitted(Session.Spec spec, PipelinePlan plan, Routes routes) {
    long budget = spec.budget().count() / (plan.stages() * plan.mesh().size());
    long[] left = new long[plan.stages()];
    try (PipelineSession full = open(spec, plan, routes)) {
      for (int stage = 0; stage < left.length; stage++) {
        long predicted = full.pipeline.group(stage).device(0).predictedPeak().count();
        left[stage] = Math.max(0, budget - predicted) / (full.live(stage) * plan.chunks());
      }
    }
    // What a longer list of kept values needs besides, in scratch memory, is seen by trying.
    for (double share = 1; share > 0.05; share *= 0.7) {
      double part = share;
      IntFunction<Recomputation> kept =
          piece -> new Recomputation.Budget((long) (left[plan.stageOf(piece)] * part));
      try {
        return open(spec, plan.withRecomputation(kept), routes);
      } catch (UserException e) {
        if (share * 0.7 <= 0.05) {
          throw e;
        }
      }
    }
    return open(spec, plan, routes);
  }

  /** The most micro-batches that are alive on a stage at once. */
  private int live(int stage) {
    return step.train().stages().get(stage).pools().stream()
        .filter(pool -> !pool.kept())
        .mapToInt(Pool::slots)
        .max()
        .orElse(1);
  }

  /** Tells before anything is allocated which stage cannot hold what it must, and by how much. */
  private void requireRoom() {
    for (int stage = 0; stage < pipeline.stages(); stage++) {
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
        throw new UserException(
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

  /**
   * Opens the devices of all stages and makes the model ready on them.
   *
   * @param spec its threads and its budget are those of all devices together
   */
  public static PipelineSession open(Session.Spec spec, PipelinePlan plan) {
    return open(spec, plan, Machine.routes(Map.of()));
  }

  private static PipelineSession open(Session.Spec spec, PipelinePlan plan, Routes routes) {
    int devices = plan.stages() * plan.mesh().size();
    Pipeline pipeline =
        Pipeline.open(
            DeviceKind.CPU,
            Collections.nCopies(plan.stages(), plan.mesh()),
            Math.max(1, spec.threads() / devices),
            Bytes.of(spec.budget().count() / devices),
            routes);
    try {
      return new PipelineSession(spec, plan, pipeline);
    } catch (RuntimeException e) {
      pipeline.close();
      throw e;
    }
  }

  public PipelineStep step() {
    return step;
  }

  public Pipeline pipeline() {
    return pipeline;
  }

  @Override
  public List<String> remarks() {
    return step.remarks();
  }

  @Override
  public void initialize() {
    for (int stage = 0; stage < pipeline.stages(); stage++) {
      for (Parameter parameter : step.stageParameters().get(stage)) {
        try (Arena temporary = Arena.ofShared()) {
          MemorySegment values = temporary.allocate(parameter.type().bytes(), 64);
          Initialization.fill(parameter, spec.seed(), values);
          pipeline.kept(stage, parameter.key()).write(values);
        }
      }
    }
  }

  @Override
  public StepResult step(long number, double learningRate, BatchSource batches) {
    for (int part = 0; part < staged.size(); part++) {
      Map<String, MemorySegment> data = staged.get(part);
      batches.load(part, name -> Objects.requireNonNull(data.get(name), name));
    }
    StepSource source =
        (buffer, microBatch) -> Optional.ofNullable(input(buffer, microBatch, number));
    Pipeline.Watched seen = pipeline.run(train, source, Set.of(step.loss(), step.weight()));
    double sum = 0;
    double count = 0;
    for (int part = 0; part < staged.size(); part++) {
      double loss = seen.of(step.loss()).get(part);
      if (!Double.isFinite(loss)) {
        throw new NonFiniteException(number, "loss", pipeline.firstNonFinite(train, source));
      }
      sum += loss;
      count += seen.of(step.weight()).get(part);
    }
    Map<String, Double> facts = new HashMap<>();
    facts.put("weight", count);
    Pipeline.Watched normed = pipeline.run(norm, facts(facts), Set.of(PipelineStep.NORM));
    double gradientNorm = normed.of(PipelineStep.NORM).getFirst();
    if (!Double.isFinite(gradientNorm)) {
      throw new NonFiniteException(number, "gradient", pipeline.firstNonFinite(train, source));
    }
    facts.put("learning_rate", learningRate);
    facts.put("step", (double) number);
    facts.put(StepGraphs.MICRO_BATCHES, (double) staged.size());
    Pipeline.Watched updated = pipeline.run(update, facts(facts), Set.of());
    lastStep = List.of(seen.record(), normed.record(), updated.record());
    return new StepResult(sum / Math.max(1, count), gradientNorm);
  }

  @Override
  public List<RunRecord> lastStep() {
    return lastStep;
  }

  private MemorySegment input(Buffer buffer, int microBatch, long number) {
    MemorySegment data = staged.get(microBatch).get(buffer.name());
    return data != null ? data : fact(buffer, microBatch, number);
  }

  private MemorySegment fact(Buffer buffer, int microBatch, long number) {
    long value =
        switch (buffer.name()) {
          case "seed" -> spec.seed();
          case "step" -> number;
          case "row" -> microBatch * rows();
          default -> throw new IllegalStateException("nobody knows " + buffer);
        };
    MemorySegment segment = Arena.ofAuto().allocate(8, 8);
    segment.set(ValueLayout.JAVA_LONG, 0, value);
    return segment;
  }

  private static StepSource facts(Map<String, Double> values) {
    return (buffer, _) -> {
      Double value = values.get(buffer.name());
      if (value == null) {
        throw new IllegalStateException("nobody knows " + buffer);
      }
      MemorySegment segment = Arena.ofAuto().allocate(8, 8);
      segment.set(ValueLayout.JAVA_FLOAT, 0, value.floatValue());
      return Optional.of(segment.asSlice(0, 4));
    };
  }

  /** Rows of a micro-batch. */
  private long rows() {
    return spec.data().firstEntry().getValue().size(0);
  }

  @Override
  public SequencedMap<String, Double> measure(int batches, BatchSource source) {
    List<String> outputs = step.measures();
    double[] sums = new double[outputs.size()];
    Map<String, MemorySegment> data = staged.getFirst();
    for (int batch = 0; batch < batches; batch++) {
      source.load(batch, name -> Objects.requireNonNull(data.get(name), name));
      Pipeline.Watched seen =
          pipeline.run(
              evaluate,
              (buffer, microBatch) -> Optional.ofNullable(input(buffer, microBatch, 0)),
              new HashSet<>(outputs));
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
  public Map<String, Route> routes() {
    return pipeline.group(0).device(0).routes().used();
  }

  @Override
  public SequencedMap<String, TensorData> model() {
    return tensors(_ -> List.of(""));
  }

  @Override
  public SequencedMap<String, TensorData> optimizer() {
    return tensors(
        parameter -> spec.optimizer().slots(parameter).stream().map(slot -> "." + slot).toList());
  }

  /**
   * What is kept for each parameter under its name with some endings, in the order of the uncut
   * model: copies.
   */
  private SequencedMap<String, TensorData> tensors(Function<Parameter, List<String>> endings) {
    Map<String, TensorData> found = new HashMap<>();
    forEachOwned(
        (stage, parameter) -> {
          for (String ending : endings.apply(parameter)) {
            ShardedBuffer buffer = pipeline.kept(stage, parameter.key() + ending);
            MemorySegment copy = Arena.ofAuto().allocate(buffer.type().bytes(), 64);
            buffer.read(copy);
            Session.slices(parameter, copy, ending, found);
          }
        });
    var tensors = new LinkedHashMap<String, TensorData>();
    for (Parameter parameter : step.parameters()) {
      for (String ending : endings.apply(parameter)) {
        for (String slice : parameter.sliceNames()) {
          tensors.put(slice + ending, Objects.requireNonNull(found.get(slice + ending)));
        }
      }
    }
    return tensors;
  }

  @FunctionalInterface
  private interface Visitor {
    void visit(int stage, Parameter parameter);
  }

  private void forEachOwned(Visitor visitor) {
    List<List<Parameter>> stages = step.stageParameters();
    for (int stage = 0; stage < stages.size(); stage++) {
      for (Parameter parameter : stages.get(stage)) {
        if (PipelineStep.owner(stages, parameter) == stage) {
          visitor.visit(stage, parameter);
        }
      }
    }
  }

  @Override
  public void restore(Checkpoint checkpoint, boolean withOptimizer) {
    SequencedMap<String, TensorData> parameters = model();
    Session.restore(checkpoint.model(), parameters);
    List<List<Parameter>> stages = step.stageParameters();
    SequencedMap<String, TensorData> slots = withOptimizer ? optimizer() : new LinkedHashMap<>();
    if (withOptimizer) {
      Session.restore(checkpoint.optimizer(), slots);
    }
    for (int stage = 0; stage < stages.size(); stage++) {
      for (Parameter parameter : stages.get(stage)) {
        write(stage, parameter, "", parameters);
      }
    }
    if (withOptimizer) {
      forEachOwned(
          (stage, parameter) ->
              spec.optimizer()
                  .slots(parameter)
                  .forEach(slot -> write(stage, parameter, "." + slot, slots)));
    }
  }

  private void write(
      int stage, Parameter parameter, String ending, Map<String, TensorData> tensors) {
    TensorType type = parameter.type();
    try (Arena temporary = Arena.ofShared()) {
      MemorySegment whole = temporary.allocate(type.bytes(), 64);
      long offset = 0;
      for (String slice : parameter.sliceNames()) {
        MemorySegment data = Objects.requireNonNull(tensors.get(slice + ending)).data();
        MemorySegment.copy(data, 0, whole, offset, data.byteSize());
        offset += data.byteSize();
      }
      pipeline.kept(stage, parameter.key() + ending).write(whole);
    }
  }

  @Override
  public void close() {
    pipeline.close();
  }
}
