package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.runtime.data.Batches;

/** What a run learns from, and how it is told how well it does. */
interface Task {
  /** What training steps see. */
  Batches training();

  /** The name of the model's input that takes the inputs of a batch. */
  String inputs();

  /** The name of the model's input that takes the targets. */
  String targets();

  /** Tells this data from other data: a run that goes on compares it. */
  String identity();

  /** What speed counts, a plural: {@code tokens}. */
  String unit();

  /** How many of these a step sees. */
  long unitsPerStep();

  /** How well the model does now on a part of what was held out, in a few words. */
  String glance(Session session);

  /**
   * How well the model does on all that was held out.
   *
   * @param summary takes the figures by name
   * @return the same in a few words
   */
  String measure(Session session, ObjectNode summary);

  /**
   * The task of a configuration, its data opened.
   *
   * @throws dev.weft.core.cluster.UserException if the data do not allow to train
   */
  static Task of(TrainConfig config) {
    if (config.model().equals(PointTask.MODEL)) {
      return new PointTask(config);
    }
    return ImageTask.Kind.of(config.model())
        .<Task>map(kind -> new ImageTask(config, kind))
        .orElseGet(() -> new TextTask(config));
  }
}
