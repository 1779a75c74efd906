package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.nn.model.Resnet;
import dev.weft.nn.model.Unet;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.data.Batches;
import dev.weft.runtime.data.SyntheticImages;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;

/** Telling shapes in seeded pictures: of every pixel, or of the whole picture. */
final class ImageTask implements Task {
  static final String UNET = "unet";
  static final String RESNET = "resnet";

  private static final String IMAGES = "images";
  private static final String LABELS = "labels";

  /** A model of pictures. */
  enum Kind {
    /** Tells the shape that every pixel belongs to. */
    UNET(ImageTask.UNET, SyntheticImages.Labels.PIXELS, "pixel", Unet.PIXEL_ACCURACY),
    /** Tells the shape that a picture shows. */
    RESNET(ImageTask.RESNET, SyntheticImages.Labels.PICTURE, "picture", Resnet.ACCURACY);

    private final String model;
    private final SyntheticImages.Labels labels;

    /** What has a class, a singular. */
    private final String unit;

    /** The name of the share of these that is told right. */
    private final String accuracy;

    Kind(String model, SyntheticImages.Labels labels, String unit, String accuracy) {
      this.model = model;
      this.labels = labels;
      this.unit = unit;
      this.accuracy = accuracy;
    }

    /** The model of that name, if it is one of pictures. */
    static Optional<Kind> of(String model) {
      return Arrays.stream(values()).filter(kind -> kind.model.equals(model)).findFirst();
    }

    private StepGraphs.Model model(TrainConfig config) {
      return switch (this) {
        case UNET -> {
          var unet = new Unet(config.hidden(), config.layers(), SyntheticImages.CLASSES);
          yield (scope, batch) -> unet.loss(scope, given(batch, IMAGES), given(batch, LABELS));
        }
        case RESNET -> {
          var resnet = new Resnet(config.hidden(), config.layers(), SyntheticImages.CLASSES);
          yield (scope, batch) -> resnet.loss(scope, given(batch, IMAGES), given(batch, LABELS));
        }
      };
    }

    private TensorType labels(long rows, long edge) {
      return switch (labels) {
        case PIXELS -> TensorType.of(DataType.I64, rows, edge, edge);
        case PICTURE -> TensorType.of(DataType.I64, rows);
      };
    }
  }

  private static <T> T given(Map<String, T> batch, String name) {
    return Objects.requireNonNull(batch.get(name), name);
  }

  private final TrainConfig config;
  private final Kind kind;
  private final SyntheticImages images;

  ImageTask(TrainConfig config, Kind kind) {
    if (!config.data().isEmpty()) {
      throw new UserException(
          "the model "
              + config.model()
              + " trains on pictures that it draws itself: leave --data out");
    }
    this.config = config;
    this.kind = kind;
    this.images =
        new SyntheticImages(
            kind.labels, config.image(), config.batch(), config.microBatches(), config.seed());
  }

  /** The model as a function of the scope and the data. */
  static StepGraphs.Model model(TrainConfig config, Kind kind) {
    return kind.model(config);
  }

  /** The types of a micro-batch's data by name. */
  static SequencedMap<String, TensorType> data(TrainConfig config, Kind kind) {
    long rows = config.microBatchRows();
    long edge = config.image();
    var data = new LinkedHashMap<String, TensorType>();
    data.put(IMAGES, TensorType.of(DataType.F32, rows, 1, edge, edge));
    data.put(LABELS, kind.labels(rows, edge));
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
    return switch (kind.labels) {
      case PIXELS -> "shapes %d %d".formatted(config.image(), config.seed());
      case PICTURE -> "single shapes %d %d".formatted(config.image(), config.seed());
    };
  }

  @Override
  public String unit() {
    return kind.unit + "s";
  }

  @Override
  public long unitsPerStep() {
    long each =
        switch (kind.labels) {
          case PIXELS -> (long) config.image() * config.image();
          case PICTURE -> 1;
        };
    return config.batch() * each;
  }

  @Override
  public String glance(Session session) {
    return words(measured(session));
  }

  @Override
  public String measure(Session session, ObjectNode summary) {
    Map<String, Double> measured = measured(session);
    summary.put("validation_loss_per_" + kind.unit, measured.get(Session.LOSS));
    summary.put(kind.accuracy, measured.get(kind.accuracy));
    return words(measured);
  }

  private Map<String, Double> measured(Session session) {
    return session.measure(
        images.heldOutBatches(),
        (batch, input) -> images.fillHeldOut(batch, input.apply(IMAGES), input.apply(LABELS)));
  }

  private String words(Map<String, Double> measured) {
    return "validation loss %.4f nats per %s, %.2f %% of %ss right"
        .formatted(
            given(measured, Session.LOSS),
            kind.unit,
            100 * given(measured, kind.accuracy),
            kind.unit);
  }
}
