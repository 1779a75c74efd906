package dev.weft.runtime.trainer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.core.cluster.UserException;
import dev.weft.engine.program.Literals;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Training on stages is training on one device. */
final class PipelineTrainingTest {
  private static final int STEPS = 3;

  private record Outcome(double[] losses, double[] norms, Map<String, double[]> tensors) {}

  /** What training on one device came to, which several cases are compared with. */
  private static final Map<String, Outcome> ALONE = new HashMap<>();

  private static TrainConfig config(String model, String changes) {
    ObjectNode tree = new ObjectMapper().createObjectNode();
    tree.put("steps", STEPS).put("threads", 2).put("batch", 8).put("micro-batches", 4);
    tree.put("clip", 0.5).put("dtype", "f64").put("optimizer", "sgd");
    if (model.equals("resnet")) {
      tree.put("layers", 2).put("hidden", 2).put("image", 8);
    } else if (model.equals("unet")) {
      tree.put("layers", 2).put("hidden", 4).put("image", 16);
    } else {
      tree.put("layers", 4).put("hidden", 8).put("heads", 2).put("sequence", 6);
      tree.put("vocabulary", 11).put("dropout", 0.2).put("experts", 3);
    }
    TrainConfig config = TrainConfig.defaultsOf(model).with(tree, "the test");
    ObjectNode more = new ObjectMapper().createObjectNode();
    for (String change : changes.isEmpty() ? new String[0] : changes.split(" ")) {
      String[] sides = change.split(":");
      if (sides[1].matches("[0-9]+")) {
        more.put(sides[0], Integer.parseInt(sides[1]));
      } else {
        more.put(sides[0], sides[1]);
      }
    }
    return config.with(more, "the test");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gpt | stages:2",
        "gpt | stages:3 cut:h.1,ln_f",
        "gpt | stages:4 schedule:gpipe recompute:full",
        "gpt | stages:2 schedule:eager-1f1b micro-batches:8",
        "gpt | stages:2 schedule:interleaved",
        "gpt | stages:2 micro-batches:1",
        "gpt | stages:2 schedule:zero-bubble",
        "gpt | stages:2 recompute:fraction=0.5",
        "gpt | stages:2 recompute:auto device-memory:900KB",
        "gpt | stages:2 mesh:data=2",
        "gpt | stages:2 mesh:data=2 zero:3 recompute:full",
        "gpt | stages:2 mesh:model=2 sub-pipeline:2 recompute:full",
        "gpt | stages:2 mesh:model=2 sub-pipeline:3 schedule:zero-bubble",
        "gpt | stages:2 mesh:data=2,model=2 sub-pipeline:1 micro-batches:2 zero:3 recompute:full",
        "gpt | mesh:model=2 sub-pipeline:3 schedule:interleaved recompute:fraction=0.5",
        "moe | stages:4",
        "unet | stages:4",
        "resnet | stages:2",
        "resnet | stages:4 schedule:gpipe recompute:full",
        "resnet | stages:2 mesh:data=2 micro-batches:2",
        "resnet | stages:2 micro-batches:1 mesh:data=2 zero:3"
      })
  void lossesAndParametersAreThoseOfOneDevice(String model, String changes) {
    TrainConfig pipelined = config(model, changes);
    TrainConfig single = config(model, "micro-batches:" + pipelined.microBatches());
    Outcome alone = ALONE.computeIfAbsent(single.toTree().toString(), _ -> train(single));
    Outcome together = train(pipelined);
    // The norm is f32 whatever the model computes in, and so is what it is clipped by.
    assertArrayEquals(alone.losses, together.losses, 1e-7);
    assertArrayEquals(alone.norms, together.norms, 1e-6);
    assertEquals(
        alone.tensors.keySet().stream().toList(), together.tensors.keySet().stream().toList());
    alone.tensors.forEach(
        (name, expected) -> assertArrayEquals(expected, together.tensors.get(name), 1e-7, name));
  }

  @Test
  void aStageThatDoesNotFitIsNamed() {
    UserException mistake =
        assertThrows(
            UserException.class, () -> Session.open(config("gpt", "stages:2 device-memory:100KB")));
    assertTrue(mistake.getMessage().startsWith("stage 0 of 2 does not fit"), mistake.getMessage());
  }

  /** In f32, too, rows in halves come to what rows in one come to. */
  @Test
  void levelsAgree() {
    String changes =
        "layers:2 stages:2 mesh:model=2 recompute:fraction=0.5 dtype:f32 sub-pipeline:";
    Outcome whole = train(config("gpt", changes + 0));
    for (int level = 1; level <= 3; level++) {
      Outcome halves = train(config("gpt", changes + level));
      assertArrayEquals(whole.losses, halves.losses, 1e-5 * whole.losses[0]);
      whole.tensors.forEach(
          (name, expected) -> assertArrayEquals(expected, halves.tensors.get(name), 1e-5, name));
    }
  }

  @Test
  void aDeviceWithOneRowIsRefused() {
    UserException mistake =
        assertThrows(
            UserException.class,
            () -> Session.open(config("gpt", "stages:2 mesh:model=2 batch:4 sub-pipeline:2")));
    assertTrue(mistake.getMessage().contains("fewer micro-batches"), mistake.getMessage());
  }

  @Test
  void twiceTheSameIsTheSame() {
    TrainConfig config = config("gpt", "stages:2 dtype:f32");
    Outcome first = train(config);
    Outcome second = train(config);
    assertArrayEquals(first.losses, second.losses, 0);
    first.tensors.forEach(
        (name, values) -> assertArrayEquals(values, second.tensors.get(name), name));
  }

  @Test
  void theRunHoldsNoMoreThanIsForetold() {
    try (Session session = Session.open(config("gpt", "stages:2"))) {
      session.initialize();
      var random = new Random(5);
      TrainConfig config = config("gpt", "stages:2");
      session.step(1, 1e-2, (_, input) -> fill(config, random, input));
      assertTrue(session.peakMemory().count() <= 1.03 * session.predictedPeak().count());
      assertTrue(session.peakMemory().count() >= 0.97 * session.predictedPeak().count());
    }
  }

  private static Outcome train(TrainConfig config) {
    try (Session session = Session.open(config)) {
      session.initialize();
      double[] losses = new double[STEPS];
      double[] norms = new double[STEPS];
      var random = new Random(3);
      for (int step = 0; step < STEPS; step++) {
        Session.StepResult result =
            session.step(step + 1, 1e-2, (_, input) -> fill(config, random, input));
        losses[step] = result.loss();
        norms[step] = result.gradientNorm();
      }
      var tensors = new LinkedHashMap<String, double[]>();
      for (var all : List.of(session.model(), session.optimizer())) {
        all.forEach(
            (name, tensor) ->
                tensors.put(name, Literals.read(tensor.type(), tensor.data()).doubles()));
      }
      tensors.put(
          "evaluation",
          new double[] {session.evaluate(2, (_, input) -> fill(config, random, input))});
      return new Outcome(losses, norms, tensors);
    }
  }

  private static void fill(
      TrainConfig config, Random random, Function<String, MemorySegment> input) {
    int rows = config.microBatchRows();
    if (!Models.readsText(config.model())) {
      MemorySegment images = input.apply("images");
      MemorySegment labels = input.apply("labels");
      for (long i = 0; i < images.byteSize() / Float.BYTES; i++) {
        images.setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextFloat());
      }
      for (long i = 0; i < labels.byteSize() / Long.BYTES; i++) {
        labels.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextInt(config.dataClasses()));
      }
      return;
    }
    MemorySegment tokens = input.apply("tokens");
    MemorySegment targets = input.apply("targets");
    for (int i = 0; i < rows * config.sequence(); i++) {
      tokens.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextInt(config.vocabulary()));
      targets.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextInt(config.vocabulary()));
    }
  }
}
