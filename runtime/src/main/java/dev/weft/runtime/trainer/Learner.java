package dev.weft.runtime.trainer;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Traced;
import dev.weft.engine.program.Route;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.TensorData;
import dev.weft.runtime.data.EvaluationWindows;
import dev.weft.runtime.worker.RunRecord;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/** A model with its optimizer, on devices: computes steps, evaluates, saves and restores. */
public interface Learner extends AutoCloseable {
  /** The name of the mean loss among what is measured. */
  String LOSS = "loss";

  /** What one step came to. */
  record StepResult(double loss, double gradientNorm) {}

  /** Writes a micro-batch's data into memory. */
  @FunctionalInterface
  interface BatchSource {
    void load(int microBatch, Function<String, MemorySegment> input);
  }

  /** The learner of a configuration: on one device, or on as many as it names. */
  static Learner open(TrainConfig config) {
    return open(config, Map.of());
  }

  /**
   * The learner of a configuration: on one device, or on as many as it names.
   *
   * @param routes of ops as a run before had them; others are chosen by measurement
   */
  static Learner open(TrainConfig config, Map<String, Route> routes) {
    requireNoPadding(config);
    return Session.open(config, routes);
  }

  /** Refuses rows that do not count where statistics are made over the rows of a micro-batch. */
  private static void requireNoPadding(TrainConfig config) {
    if (config.paddedRows() == 0) {
      return;
    }
    Session.Spec spec = Session.spec(config);
    Traced traced =
        StepGraphs.forward(spec.model(), spec.data(), DataType.F32, UnaryOperator.identity());
    traced.parameters().stream()
        .filter(Parameter::averaged)
        .findFirst()
        .ifPresent(
            average -> {
              throw new UserException(
                  "batch must be a multiple of micro-batches here, found %d and %d: the rows that fill up the last micro-batch would change the statistics of %s; choose a batch of %d, or %d micro-batches"
                      .formatted(
                          config.batch(),
                          config.microBatches(),
                          average.name(),
                          config.batch() + config.paddedRows(),
                          divisor(config)));
            });
  }

  /** The largest number of micro-batches below that asked for that divides the batch. */
  private static int divisor(TrainConfig config) {
    int divisor = Math.min(config.microBatches(), config.batch());
    while (config.batch() % divisor != 0) {
      divisor--;
    }
    return divisor;
  }

  /** Gives all parameters their first values. */
  void initialize();

  /**
   * One step of training.
   *
   * @param step counting from 1
   * @throws NonFiniteException if the loss or the gradient is no number; parameters are unchanged
   */
  StepResult step(long step, double learningRate, BatchSource batches);

  /**
   * Means over batches of data, without training on them: the loss, under {@link #LOSS}, and what
   * the model measures besides, by name.
   */
  SequencedMap<String, Double> measure(int batches, BatchSource source);

  /** The mean loss over batches of data, without training on them. */
  default double evaluate(int batches, BatchSource source) {
    return Objects.requireNonNull(measure(batches, source).get(LOSS));
  }

  /** The mean loss per token over windows. */
  default double evaluate(EvaluationWindows windows) {
    return evaluate(
        Math.toIntExact(windows.batches()),
        (batch, input) -> windows.fill(batch, input.apply("tokens"), input.apply("targets")));
  }

  /** Floating point operations of one step, on all devices together. */
  double flopsPerStep();

  /** The memory of a device that is held now; of several devices that which holds most. */
  Bytes memory();

  /** The most that was ever held. */
  Bytes peakMemory();

  /** The most bytes that training will hold on a device, known before the first step. */
  Bytes predictedPeak();

  /** Cores used by all devices together. */
  int threads();

  /** How ops were computed so far, by op. */
  Map<String, Route> routes();

  /** What a user may want to mend in how the model is split over devices, a sentence each. */
  default List<String> remarks() {
    return List.of();
  }

  /**
   * What the devices did in the last step: a record of each program that they ran, in order, the
   * one that makes gradients first. Empty where steps are no programs.
   */
  default List<RunRecord> lastStep() {
    return List.of();
  }

  /** Parameters by the names of their layers' parts. */
  SequencedMap<String, TensorData> model();

  /** The optimizer's tensors by parameter and slot. */
  SequencedMap<String, TensorData> optimizer();

  /**
   * Takes over a checkpoint's parameters, and the optimizer's tensors where asked for.
   *
   * @throws dev.weft.core.cluster.UserException if it is damaged or of another model
   */
  void restore(Checkpoint checkpoint, boolean withOptimizer);

  @Override
  void close();
}
