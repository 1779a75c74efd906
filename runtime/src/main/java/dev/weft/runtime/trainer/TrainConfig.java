package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.nn.model.Experts;
import dev.weft.nn.model.ModelConfig;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.nn.step.PipelinePlan;
import dev.weft.runtime.data.SyntheticImages;
import dev.weft.runtime.data.SyntheticPoints;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.run.RunDirectory;
import java.io.File;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * All that a training run is told, by flags or by a YAML file: the names are the same, {@code
 * learningRate} is {@code --learning-rate} and {@code learning-rate:}.
 *
 * @param name of the run and its folder
 * @param seed of parameters, data order and dropout
 * @param steps of training
 * @param model {@code gpt}, {@code moe}, {@code transformer}, {@code unet}, {@code resnet}, {@code
 *     mlp}, or a class that implements {@link dev.weft.nn.model.TokenModel}
 * @param classpath where that class is found
 * @param data text files; none for the Europarl proceedings
 * @param image edge of the pictures that a U-Net or a ResNet trains on, in pixels
 * @param batch sequences or pictures per step
 * @param microBatches parts that a step's batch is computed in; where they do not divide it the
 *     last ones are filled up with rows that do not count
 * @param warmup steps until the learning rate is at its peak
 * @param clip the largest norm of the gradient; 0 for no limit
 * @param feedForward the width within a token model's second sub-layers, times hidden
 * @param experts of each layer of a mixture of experts
 * @param expertEvery in which layers they are: the last of every so many
 * @param capacityFactor room of an expert, as a multiple of its even share of the tokens
 * @param balanceWeight the weight of the loss that asks for even shares
 * @param saveEvery steps between checkpoints; 0 for one at the end
 * @param keep checkpoints kept
 * @param evalEvery steps between evaluations; 0 for one at the end
 * @param threads cores used; 0 for all, at most 1024
 * @param deviceMemory the most memory of all devices together, {@code 4GiB}; empty for nine tenths
 *     of the machine's
 * @param devices that train together, each on a thread of this process; 0 for as many as the mesh
 *     has, one without a mesh
 * @param mesh how they stand, {@code data=2,model=2}; empty for all along {@code data}
 * @param zero the stage of ZeRO: optimizer state, gradients and weights split over {@code data}
 *     from stage 1, 2 and 3 on
 * @param stages groups of devices that the model's layers are dealt out to; each has the mesh
 * @param chunks pieces of the model on each stage; 0 for as many as the schedule usually has
 * @param cut scopes that the second piece and all later ones begin with, {@code h.2,h.4}; empty for
 *     a cut into pieces of about equal costs
 * @param schedule in what order stages compute
 * @param recompute what the backward needs and is made again: {@code none}, {@code full}, {@code
 *     fraction=0.5}, {@code stage-aware=0.6}, {@code auto} for what memory demands
 * @param recomputeTiming {@code early} or {@code inline}
 * @param bucketBytes the most bytes of gradients that devices reduce in one collective, {@code
 *     4MiB}; a larger gradient is reduced by itself
 * @param subPipeline how far the two halves of a device's rows stay apart, so that one computes
 *     while what the other needs is sent: {@code 0} for not at all, {@code 1} within a product,
 *     {@code 2} a layer, {@code 3} the model, or {@code auto} for what pays
 * @param collectiveMatmul whether collectives that feed products, or sum what they make, are looped
 *     beside them tile by tile: {@code none}, {@code looped}, or {@code auto} for where it pays
 */
public record TrainConfig(
    String name,
    long seed,
    int steps,
    String model,
    String classpath,
    List<String> data,
    int layers,
    int hidden,
    int heads,
    int sequence,
    int image,
    int batch,
    int microBatches,
    int vocabulary,
    String dtype,
    double learningRate,
    int warmup,
    double weightDecay,
    double clip,
    double dropout,
    int feedForward,
    int experts,
    int expertEvery,
    double capacityFactor,
    double balanceWeight,
    int saveEvery,
    int keep,
    int evalEvery,
    int logEvery,
    String optimizer,
    int threads,
    String deviceMemory,
    int devices,
    String mesh,
    int zero,
    int stages,
    int chunks,
    String cut,
    String schedule,
    String recompute,
    String recomputeTiming,
    String bucketBytes,
    String subPipeline,
    String collectiveMatmul) {

  /** A small GPT that learns the default text in a few minutes on two cores. */
  public static final TrainConfig DEFAULT =
      new TrainConfig(
          "gpt",
          1,
          1000,
          "gpt",
          "",
          List.of(),
          2,
          192,
          6,
          64,
          64,
          32,
          1,
          256,
          "f32",
          2e-3,
          100,
          0.1,
          1,
          0,
          ModelConfig.FEED_FORWARD,
          Experts.DEFAULT.count(),
          Experts.DEFAULT.every(),
          Experts.DEFAULT.capacityFactor(),
          Experts.DEFAULT.balanceWeight(),
          500,
          3,
          0,
          10,
          "adamw",
          0,
          "",
          0,
          "",
          0,
          1,
          0,
          "",
          "1f1b",
          "none",
          "early",
          "4MiB",
          "0",
          "none");

  private static final int MOST_THREADS = 1024;
  private static final List<DataType> DTYPES = List.of(DataType.F32, DataType.BF16, DataType.F64);

  /** Holds the values to their ranges, naming the option that is wrong. */
  public TrainConfig {
    data = List.copyOf(data);
    atLeast("steps", steps, 1);
    atLeast("image", image, 1);
    atLeast("batch", batch, 1);
    atLeast("micro-batches", microBatches, 1);
    atLeast("warmup", warmup, 0);
    atLeast("save-every", saveEvery, 0);
    atLeast("keep", keep, 1);
    atLeast("eval-every", evalEvery, 0);
    atLeast("log-every", logEvery, 1);
    atLeast("threads", threads, 0);
    atLeast("devices", devices, 0);
    atLeast("zero", zero, 0);
    if (zero > 3) {
      throw new UserException("zero must be a stage from 0 to 3, found " + zero);
    }
    if (zero > 0 && devices <= 1 && mesh.isEmpty()) {
      throw new UserException(
          "zero " + zero + " splits over several devices: add --devices 2 or more");
    }
    atLeast("stages", stages, 1);
    atLeast("chunks", chunks, 0);
    if (!cut.isEmpty() && stages == 1 && chunks <= 1) {
      throw new UserException(
          "--cut %s makes %d stages, found --stages 1: add --stages %d"
              .formatted(cut, scopes(cut).size() + 1, scopes(cut).size() + 1));
    }
    if (stages == 1 && !mesh.isEmpty() && devices > 0 && Mesh.parse(mesh).size() != devices) {
      throw new UserException(
          "the mesh %s stands for %d devices, --devices says %d"
              .formatted(mesh, Mesh.parse(mesh).size(), devices));
    }
    if (bucket(bucketBytes).count() < 1) {
      throw new UserException("bucket-bytes must be at least 1, found " + bucketBytes);
    }
    Halves.level(subPipeline);
    int stageDevices =
        mesh.isEmpty() ? (stages > 1 ? 1 : Math.max(1, devices)) : Mesh.parse(mesh).size();
    if (!subPipeline.equals("0") && stageDevices == 1) {
      throw new UserException(
          "sub-pipeline %s hides what devices send one another: add a mesh like --mesh model=2"
              .formatted(subPipeline));
    }
    Loops.parse(collectiveMatmul, threads);
    if (!collectiveMatmul.equals(Loops.NONE) && devices <= 1 && mesh.isEmpty()) {
      throw new UserException(
          "collective-matmul %s hides what devices send one another: add a mesh like --mesh model=2"
              .formatted(collectiveMatmul));
    }
    if (devices > MOST_THREADS) {
      throw new UserException("devices must be at most " + MOST_THREADS + ", found " + devices);
    }
    if (threads > MOST_THREADS) {
      throw new UserException("threads must be at most " + MOST_THREADS + ", found " + threads);
    }
    if (!(learningRate > 0) || Double.isInfinite(learningRate)) {
      throw new UserException("learning-rate must be above 0, found " + learningRate);
    }
    notNegative("weight-decay", weightDecay);
    notNegative("clip", clip);
    if (!optimizer.equals("adamw") && !optimizer.equals("sgd")) {
      throw new UserException("optimizer must be adamw or sgd, found '" + optimizer + "'");
    }
  }

  private static void atLeast(String option, int value, int least) {
    if (value < least) {
      throw new UserException(option + " must be at least " + least + ", found " + value);
    }
  }

  private static void notNegative(String option, double value) {
    if (!(value >= 0) || Double.isInfinite(value)) {
      throw new UserException(option + " must be a number of at least 0, found " + value);
    }
  }

  /**
   * What a model trains with unless told otherwise: models of pictures learn to tell shapes in a
   * minute or two, a classifier the arms of a spiral in seconds; a published size is as large as it
   * was published.
   */
  public static TrainConfig defaultsOf(String model) {
    ObjectNode preset = Presets.model(model);
    if (preset != null) {
      preset.put("name", model);
      return DEFAULT.with(preset, "the preset " + model);
    }
    if (Models.readsText(model)) {
      return DEFAULT;
    }
    ObjectNode changes = ConfigTree.empty();
    changes.put("name", model).put("model", model).put("warmup", 30).put("save-every", 0);
    switch (model) {
      case ImageTask.UNET ->
          changes.put("steps", 300).put("layers", 3).put("hidden", 16).put("batch", 8);
      case ImageTask.RESNET ->
          changes.put("steps", 300).put("layers", 1).put("hidden", 16).put("image", 32);
      default ->
          changes
              .put("steps", 600)
              .put("layers", 3)
              .put("hidden", 64)
              .put("batch", 128)
              .put("weight-decay", 0.01);
    }
    return DEFAULT.with(changes, "the defaults of " + model);
  }

  /** The size of model and data in a few words. */
  public String size() {
    String data =
        switch (model) {
          case ImageTask.UNET, ImageTask.RESNET -> ", image " + image;
          case PointTask.MODEL -> "";
          default -> ", sequence " + sequence;
        };
    return "%d layers, hidden %d%s, batch %d".formatted(layers, hidden, data, batch);
  }

  /** Rows of each micro-batch, those included that are beyond the batch and do not count. */
  public int microBatchRows() {
    return Math.ceilDiv(batch, microBatches);
  }

  /** How many rows of a step's micro-batches are beyond the batch. */
  public long paddedRows() {
    return (long) microBatchRows() * microBatches - batch;
  }

  /** How many different whole numbers the data hold: tokens, or classes. */
  public int dataClasses() {
    return switch (model) {
      case ImageTask.UNET, ImageTask.RESNET -> SyntheticImages.CLASSES;
      case PointTask.MODEL -> SyntheticPoints.CLASSES;
      default -> vocabulary;
    };
  }

  /** The names of all options, as flags and keys. */
  public static List<String> keys() {
    return ConfigTree.keys();
  }

  public ObjectNode toTree() {
    return ConfigTree.of(this);
  }

  public String toYaml() {
    return ConfigTree.yaml(this);
  }

  /**
   * This configuration with some values replaced.
   *
   * @param source where they were written, for messages
   * @throws UserException if a key is unknown or a value of the wrong type
   */
  public TrainConfig with(ObjectNode changes, String source) {
    return ConfigTree.changed(this, changes, source);
  }

  /**
   * This configuration with what depends on the machine and the working folder written out, so that
   * a run goes on elsewhere as it began: how many threads, where the files are, and where the model
   * is cut.
   */
  public TrainConfig resolved() {
    return resolved(foundCut());
  }

  /** Where costs and memory cut the model; empty where there is one stage or the user says it. */
  public Optional<StagePieces> foundCut() {
    return cut.isEmpty() && stages > 1 ? Optional.of(StagePieces.of(this)) : Optional.empty();
  }

  /** The same with the cut that was found. */
  public TrainConfig resolved(Optional<StagePieces> found) {
    ObjectNode tree = toTree();
    tree.put("threads", cores());
    var files = tree.putArray("data");
    data.forEach(file -> files.add(absolute(file)));
    tree.put(
        "classpath",
        Arrays.stream(classpath.split(File.pathSeparator))
            .map(part -> part.isEmpty() ? part : absolute(part))
            .collect(Collectors.joining(File.pathSeparator)));
    found.ifPresent(pieces -> tree.put("cut", String.join(",", pieces.scopes())));
    return with(tree, "the configuration");
  }

  private static String absolute(String file) {
    return Path.of(file).toAbsolutePath().normalize().toString();
  }

  /**
   * The configuration that a run's folder holds.
   *
   * @throws UserException if it is none
   */
  public static TrainConfig of(RunDirectory run) {
    if (run.config() instanceof ObjectNode tree) {
      return DEFAULT.with(tree, "the configuration of '" + run.path() + "'");
    }
    throw new UserException("'" + run.path() + "' has no configuration that could be read");
  }

  /** This configuration with what a YAML file says. */
  public TrainConfig withFile(Path file) {
    return ConfigTree.read(this, file);
  }

  public ModelConfig modelConfig() {
    return new ModelConfig(
        layers,
        hidden,
        heads,
        sequence,
        vocabulary,
        dropout,
        feedForward,
        new Experts(experts, capacityFactor, balanceWeight, expertEvery));
  }

  /** The most bytes of gradients that are reduced in one collective. */
  public Bytes bucket() {
    return bucket(bucketBytes);
  }

  private static Bytes bucket(String text) {
    try {
      return Bytes.parse(text);
    } catch (UserException e) {
      throw new UserException("bucket-bytes: " + e.getMessage(), e);
    }
  }

  /** How the devices of a stage stand, or all if there are no stages. */
  public Mesh resolvedMesh() {
    return mesh.isEmpty()
        ? new Mesh(List.of(new MeshAxis("data", Math.max(1, devices))))
        : Mesh.parse(mesh);
  }

  /** The type that the model computes in. */
  public DataType computeType() {
    return DTYPES.stream()
        .filter(type -> type.text().equals(dtype))
        .findFirst()
        .orElseThrow(
            () ->
                new UserException(
                    "dtype must be f32, bf16 or f64, found '"
                        + dtype
                        + "'"
                        + (dtype.equals("f16")
                            ? ": f16 would need its loss scaled; bf16 is as small and does not"
                            : "")));
  }

  /**
   * How a step is spread over stages of this machine: by what was measured of it, or for want of
   * that by counts of operations and bytes.
   *
   * @throws UserException if there is no such schedule, or a stage's devices are not as many as its
   *     mesh stands for
   */
  public PipelinePlan pipelinePlan() {
    return new Planned(this).here();
  }

  /**
   * How a step is spread over stages of a cluster.
   *
   * @throws UserException also if the cluster has too few devices
   */
  public PipelinePlan pipelinePlan(Cluster cluster) {
    return new Planned(this).on(cluster);
  }

  /** The cores that all devices together compute on. */
  public int cores() {
    return threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
  }

  /** The most memory of all devices together. */
  public Bytes budget() {
    return deviceMemory.isEmpty()
        ? Bytes.of(Machine.memory().count() / 10 * 9)
        : Bytes.parse(deviceMemory);
  }

  /** The scopes before which the model is cut. */
  List<String> scopes() {
    return scopes(cut);
  }

  private static List<String> scopes(String text) {
    return Arrays.stream(text.split(",", -1)).map(String::strip).toList();
  }

  public Optimizer optimizerRule() {
    return optimizer.equals("sgd")
        ? new Optimizer.SgdMomentum(0.9, false, weightDecay)
        : new Optimizer.AdamW(0.9, 0.95, 1e-8, weightDecay);
  }
}
