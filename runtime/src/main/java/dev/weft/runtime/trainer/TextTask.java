package dev.weft.runtime.trainer;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.nn.model.TokenModel;
import dev.weft.nn.step.StepGraphs;
import dev.weft.runtime.data.BatchSampler;
import dev.weft.runtime.data.Batches;
import dev.weft.runtime.data.EuroparlText;
import dev.weft.runtime.data.EvaluationWindows;
import dev.weft.runtime.data.TextFile;
import dev.weft.runtime.data.TextSource;
import dev.weft.runtime.data.TokenDataset;
import dev.weft.runtime.data.TrigramTable;
import dev.weft.runtime.machine.Caches;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Foretelling the next byte of texts. */
final class TextTask implements Task {
  /** At most so many windows for an evaluation in between. */
  private static final long QUICK_WINDOWS = 2048;

  private final TrainConfig config;
  private final TokenDataset dataset;
  private final BatchSampler sampler;
  private final EvaluationWindows validation;

  TextTask(TrainConfig config) {
    this.config = config;
    List<TextSource> sources = new ArrayList<>();
    config.data().forEach(file -> sources.add(new TextFile(Path.of(file))));
    if (sources.isEmpty()) {
      sources.add(new EuroparlText());
    }
    this.dataset = TokenDataset.open(Caches.directory().resolve("tokens"), sources);
    if (config.vocabulary() < 256) {
      throw new UserException(
          "vocabulary must be at least 256, for tokens are bytes; found " + config.vocabulary());
    }
    if (dataset.validation().count() <= config.sequence()) {
      throw new UserException(
          "the held-out twentieth of the text has "
              + dataset.validation().count()
              + " bytes, too few for a sequence of "
              + config.sequence()
              + ": train on a longer text or choose a shorter sequence");
    }
    this.sampler =
        new BatchSampler(
            dataset.training(),
            config.sequence(),
            config.batch(),
            config.microBatches(),
            config.seed());
    this.validation =
        EvaluationWindows.of(
            "the held-out text",
            dataset.validation(),
            config.sequence(),
            config.microBatchRows(),
            TokenModel.IGNORED);
  }

  @Override
  public Batches training() {
    return sampler;
  }

  @Override
  public String inputs() {
    return StepGraphs.TOKENS;
  }

  @Override
  public String targets() {
    return StepGraphs.TARGETS;
  }

  @Override
  public String identity() {
    return dataset.identity();
  }

  @Override
  public String unit() {
    return "tokens";
  }

  @Override
  public long unitsPerStep() {
    return (long) config.batch() * config.sequence();
  }

  @Override
  public String glance(Session session) {
    return "validation loss %.4f nats per byte"
        .formatted(session.evaluate(validation.atMost(QUICK_WINDOWS)));
  }

  @Override
  public String measure(Session session, ObjectNode summary) {
    double loss = session.evaluate(validation);
    double trigram = new TrigramTable(dataset.training()).loss(dataset.validation());
    summary.put("validation_loss_per_byte", loss);
    summary.put("trigram_loss_per_byte", trigram);
    return "validation loss %.4f nats per byte; a trigram table has %.4f".formatted(loss, trigram);
  }
}
