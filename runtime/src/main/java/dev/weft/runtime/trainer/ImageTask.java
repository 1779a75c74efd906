package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.model.Unet;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.data.Batches;
import dev.weft.runtime.data.SyntheticImages;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;

/** Telling the shape that every pixel of seeded pictures belongs to. */
final class ImageTask implements Task {
  /** The model's name. */
  static final String MODEL = "unet";

  private static final String IMAGES = "images";
  private static final String LABELS = "labels";

  private final TrainConfig config;
  private final SyntheticImages images;

  ImageTask(TrainConfig config) {
    if (!config.data().isEmpty()) {
      throw new UserException(
          "the model " + MODEL + " trains on pictures that it draws itself: leave --data out");
    }
    this.config = config;
    this.images =
        new SyntheticImages(config.image(), config.batch(), config.microBatches(), config.seed());
  }

  /** The model as a function of the scope and the data. */
  static StepGraphs.Model model(TrainConfig config) {
    var unet = new Unet(config.hidden(), config.layers(), SyntheticImages.CLASSES);
    return (scope, batch) ->
        unet.loss(
            scope,
            Objects.requireNonNull(batch.get(IMAGES)),
            Objects.requireNonNull(batch.get(LABELS)));
  }

  /** The types of a micro-batch's data by name. */
  static SequencedMap<String, TensorType> data(TrainConfig config) {
    long rows = config.batch() / config.microBatches();
    long edge = config.image();
    var data = new LinkedHashMap<String, TensorType>();
    data.put(IMAGES, TensorType.of(DataType.F32, rows, 1, edge, edge));
    data.put(LABELS, TensorType.of(DataType.I64, rows, edge, edge));
    return data;
  }

  @Override
  public Batches training() {
    return images;
  }

  @Override
  public String inputs() {
    return IMAGES;
  }

  @Override
  public String targets() {
    return LABELS;
  }

  @Override
  public String identity() {
    return "shapes %d %d".formatted(config.image(), config.seed());
  }

  @Override
  public String unit() {
    return "pixels";
  }

  @Override
  public long unitsPerStep() {
    return (long) config.batch() * config.image() * config.image();
  }

  @Override
  public String glance(Learner session) {
    return words(measured(session));
  }

  @Override
  public String measure(Learner session, ObjectNode summary) {
    Map<String, Double> measured = measured(session);
    summary.put("validation_loss_per_pixel", measured.get(Learner.LOSS));
    summary.put(Unet.PIXEL_ACCURACY, measured.get(Unet.PIXEL_ACCURACY));
    return words(measured);
  }

  private Map<String, Double> measured(Learner session) {
    return session.measure(
        images.heldOutBatches(),
        (batch, input) ->
            images.fillHeldOut(
                batch, input.apply(IMAGES), input.apply(LABELS), TokenModel.IGNORED));
  }

  private static String words(Map<String, Double> measured) {
    return "validation loss %.4f nats per pixel, %.2f %% of pixels right"
        .formatted(
            Objects.requireNonNull(measured.get(Learner.LOSS)),
            100 * Objects.requireNonNull(measured.get(Unet.PIXEL_ACCURACY)));
  }
}
