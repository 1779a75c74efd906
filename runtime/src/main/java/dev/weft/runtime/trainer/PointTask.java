package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.TensorType;
import dev.weft.nn.model.Mlp;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.data.Batches;
import dev.weft.runtime.data.SyntheticPoints;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;

/** Telling the arm of a spiral that every one of seeded points belongs to. */
final class PointTask implements Task {
  /** The model's name. */
  static final String MODEL = "mlp";

  private static final String POINTS = "points";
  private static final String LABELS = "labels";

  private final TrainConfig config;
  private final SyntheticPoints points;

  PointTask(TrainConfig config) {
    if (!config.data().isEmpty()) {
      throw new UserException(
          "the model " + MODEL + " trains on points that it draws itself: leave --data out");
    }
    this.config = config;
    this.points = new SyntheticPoints(config.batch(), config.microBatches(), config.seed());
  }

  /** The model as a function of the scope and the data. */
  static StepGraphs.Model model(TrainConfig config) {
    var mlp = new Mlp(config.hidden(), config.layers(), SyntheticPoints.CLASSES);
    return (scope, batch) ->
        mlp.loss(
            scope,
            Objects.requireNonNull(batch.get(POINTS)),
            Objects.requireNonNull(batch.get(LABELS)));
  }

  /** The types of a micro-batch's data by name. */
  static SequencedMap<String, TensorType> data(TrainConfig config) {
    long rows = config.microBatchRows();
    var data = new LinkedHashMap<String, TensorType>();
    data.put(POINTS, TensorType.of(DataType.F32, rows, SyntheticPoints.WIDTH));
    data.put(LABELS, TensorType.of(DataType.I64, rows));
    return data;
  }

  @Override
  public Batches training() {
    return points;
  }

  @Override
  public String inputs() {
    return POINTS;
  }

  @Override
  public String targets() {
    return LABELS;
  }

  @Override
  public String identity() {
    return "spirals %d".formatted(config.seed());
  }

  @Override
  public String unit() {
    return "points";
  }

  @Override
  public long unitsPerStep() {
    return config.batch();
  }

  @Override
  public String glance(Session session) {
    return words(measured(session));
  }

  @Override
  public String measure(Session session, ObjectNode summary) {
    Map<String, Double> measured = measured(session);
    summary.put("validation_loss_per_point", measured.get(Session.LOSS));
    summary.put(Mlp.ACCURACY, measured.get(Mlp.ACCURACY));
    return words(measured);
  }

  private Map<String, Double> measured(Session session) {
    return session.measure(
        points.heldOutBatches(),
        (batch, input) -> points.fillHeldOut(batch, input.apply(POINTS), input.apply(LABELS)));
  }

  private static String words(Map<String, Double> measured) {
    return "validation loss %.4f nats per point, %.2f %% of points right"
        .formatted(
            Objects.requireNonNull(measured.get(Session.LOSS)),
            100 * Objects.requireNonNull(measured.get(Mlp.ACCURACY)));
  }
}
