package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.engine.program.Literals;
import dev.weft.runtime.data.BatchSampler;
import dev.weft.runtime.data.Batches;
import dev.weft.runtime.data.SyntheticImages;
import dev.weft.runtime.data.Tokens;
import dev.weft.runtime.run.RunDirectory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A batch that the micro-batches do not divide is trained on as if they did. */
final class PaddingTest {
  private static final int STEPS = 2;

  @TempDir Path folder;

  private record Outcome(double[] losses, double[] norms, Map<String, double[]> parameters) {}

  private static TrainConfig config(String model, String changes) {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("steps", STEPS).put("threads", 2).put("batch", 10).put("log-every", 1);
    tree.put("clip", 0.5).put("dtype", "f64").put("optimizer", "sgd");
    if (Models.readsText(model)) {
      tree.put("layers", 2).put("hidden", 8).put("heads", 2).put("sequence", 6);
      tree.put("dropout", 0.2).put("experts", 3);
    } else {
      tree.put("layers", 1).put("hidden", 2).put("image", 8);
    }
    for (String change : changes.split(" ")) {
      String[] sides = change.split(":");
      if (sides[1].matches("[0-9]+")) {
        tree.put(sides[0], Integer.parseInt(sides[1]));
      } else {
        tree.put(sides[0], sides[1]);
      }
    }
    return TrainConfig.defaultsOf(model).with(tree, "the test");
  }

  private static Batches batches(TrainConfig config) {
    if (!Models.readsText(config.model())) {
      return new SyntheticImages(config.image(), config.batch(), config.microBatches(), 7);
    }
    byte[] bytes = new byte[2000];
    new Random(5).nextBytes(bytes);
    return new BatchSampler(
        Tokens.of(bytes), config.sequence(), config.batch(), config.microBatches(), 7);
  }

  private static Outcome train(TrainConfig config) {
    Batches batches = batches(config);
    String inputs = Models.readsText(config.model()) ? "tokens" : "images";
    String targets = Models.readsText(config.model()) ? "targets" : "labels";
    try (Session session = Session.open(config)) {
      session.initialize();
      double[] losses = new double[STEPS];
      double[] norms = new double[STEPS];
      for (int step = 0; step < STEPS; step++) {
        int number = step;
        Session.StepResult result =
            session.step(
                step + 1,
                1e-1,
                (part, input) ->
                    batches.fill(number, part, input.apply(inputs), input.apply(targets)));
        losses[step] = result.loss();
        norms[step] = result.gradientNorm();
      }
      var parameters = new LinkedHashMap<String, double[]>();
      session
          .model()
          .forEach(
              (name, tensor) ->
                  parameters.put(name, Literals.read(tensor.type(), tensor.data()).doubles()));
      return new Outcome(losses, norms, parameters);
    }
  }

  /** With 7 micro-batches of 2 rows two are nothing but padding. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt | micro-batches:7",
        "gpt | micro-batches:4 stages:2",
        "gpt | micro-batches:3 mesh:data=2",
        "moe | micro-batches:3",
        "unet | micro-batches:4 stages:2"
      })
  void theStepIsThatOfTheWholeBatch(String model, String changes) {
    Outcome whole = train(config(model, "micro-batches:1"));
    Outcome padded = train(config(model, changes));
    assertArrayEquals(whole.losses, padded.losses, 1e-7);
    assertArrayEquals(whole.norms, padded.norms, 1e-6);
    whole.parameters.forEach(
        (name, expected) -> assertArrayEquals(expected, padded.parameters.get(name), 1e-7, name));
  }

  @Test
  void statisticsOverRowsRefuseIt() {
    TrainConfig config = config("resnet", "micro-batches:4");
    String message = assertThrows(UserException.class, () -> Session.open(config)).getMessage();
    assertTrue(message.contains("batch of 12, or 2 micro-batches"), message);
    assertTrue(message.contains("stem_norm.mean"), message);
  }

  @Test
  void itIsSaidOnce() {
    var said = new ArrayList<String>();
    Progress progress =
        new Progress() {
          @Override
          public void logged(Logged step) {}

          @Override
          public void message(String text) {
            said.add(text);
          }
        };
    TrainConfig config = config("unet", "micro-batches:4");
    try (RunDirectory run = RunDirectory.create(folder, "run", config.toTree());
        Trainer trainer = Trainer.open(config)) {
      trainer.train(run, progress);
    }
    assertEquals(
        List.of(
            "4 micro-batches of 3 rows have 2 more than the batch of 10: the last 2 do not count"),
        said);
  }
}
